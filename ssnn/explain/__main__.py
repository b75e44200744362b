"""Say why a network fails where it fails: `python -m ssnn.explain`, or `ssnn explain`."""

from collections.abc import Sequence

from ssnn.command import command, leave


@command("ssnn explain")
def main(argv: Sequence[str]) -> None:
    """Explain, once the libraries are loaded: in here, so that Ctrl-C finds no traceback from the start."""
    from ssnn.commands.explain import run

    run(argv)


if __name__ == "__main__":
    leave(main())
