"""The console script: `ssnn train …` is `python -m ssnn.train …`, and so for every other command."""

import argparse
import importlib
from collections.abc import Sequence
from typing import NoReturn

import ssnn
from ssnn.command import Parser, command, leave

COMMANDS = {
    "train": ("ssnn.train", "train a network"),
    "predict": ("ssnn.predict", "say which digit is on each image"),
    "evaluate": ("ssnn.evaluate", "judge a saved model on test images"),
    "explain": ("ssnn.explain.__main__", "say why it fails where it fails"),
    "compare": ("ssnn.compare", "find the fastest backend for this machine"),
    "backends": ("ssnn.backends.__main__", "show which backends can run on this machine"),
}


@command("ssnn")
def main(argv: Sequence[str]) -> int:
    """Hand over to the command that is named."""
    commands = "; ".join(f"{name}: {purpose}" for name, (_, purpose) in COMMANDS.items())
    parser = Parser(prog="ssnn", description=ssnn.__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"ssnn {ssnn.__version__}")
    parser.add_argument("command", choices=COMMANDS, help=commands)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command; --help shows them")
    options = parser.parse_args(argv)
    module, _ = COMMANDS[options.command]
    exit_code: int = importlib.import_module(module).main(options.arguments)
    return exit_code


def run() -> NoReturn:
    """Be the console script."""
    leave(main())


if __name__ == "__main__":
    run()
