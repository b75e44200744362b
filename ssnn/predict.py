"""Say which digit is on each image: `python -m ssnn.predict`, or `ssnn predict`."""

from collections.abc import Sequence

from ssnn.command import command, leave


@command("ssnn predict")
def main(argv: Sequence[str]) -> int:
    """Predict, once the libraries are loaded: in here, so that Ctrl-C finds no traceback from the start."""
    from ssnn.commands.predict import run

    return run(argv)


if __name__ == "__main__":
    leave(main())
