"""Judge a saved model on test images: `python -m ssnn.evaluate`, or `ssnn evaluate`."""

from collections.abc import Sequence

from ssnn.command import command, leave


@command("ssnn evaluate")
def main(argv: Sequence[str]) -> None:
    """Judge, once the libraries are loaded: in here, so that Ctrl-C finds no traceback from the start."""
    from ssnn.commands.evaluate import run

    run(argv)


if __name__ == "__main__":
    leave(main())
