"""Train the network from a shell: `python -m ssnn.train`, or `ssnn train`."""

from collections.abc import Sequence

from ssnn.command import command, leave


@command("ssnn train")
def main(argv: Sequence[str]) -> int:
    """Train, once the libraries are loaded: in here, so that Ctrl-C finds no traceback from the start."""
    from ssnn.commands.train import run

    return run(argv)


if __name__ == "__main__":
    leave(main())
