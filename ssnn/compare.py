"""Which backend is fastest on this machine, and do they agree: `python -m ssnn.compare`, or `ssnn compare`."""

from collections.abc import Sequence

from ssnn.command import command, leave


@command("ssnn compare")
def main(argv: Sequence[str]) -> int:
    """Compare, once the libraries are loaded: in here, so that Ctrl-C finds no traceback from the start."""
    from ssnn.commands.compare import run

    return run(argv)


if __name__ == "__main__":
    leave(main())
