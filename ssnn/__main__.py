"""The one door to the commands: `ssnn COMMAND`, which is `python -m ssnn COMMAND`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import ssnn
from ssnn.cli.program import Parser, command, exit_process

COMMANDS = {  # each is `run` in a file of its own in ssnn/cli
    "train": "train a network",
    "predict": "say which digit is on each image",
    "evaluate": "judge a saved model on test images",
    "explain": "say why it fails where it fails",
    "compare": "find the fastest backend for this machine",
    "backends": "show which backends can run on this machine",
}


@command("ssnn")
def main(arguments: Sequence[str]) -> int:
    """Run the command that is named."""
    parser = Parser(prog="ssnn", description="The shallow neural network on every array library, from one source.")
    parser.add_argument("--version", action="version", version=f"ssnn {ssnn.__version__}")
    purposes = "; ".join(f"{name}: {purpose}" for name, purpose in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, help=purposes)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command; --help shows them")
    options = parser.parse_args(arguments)

    @command(f"ssnn {options.command}")
    def run(arguments: Sequence[str]) -> int | None:
        # Import lazily, so that Ctrl-C during imports exits cleanly.
        exit_code: int | None = importlib.import_module(f"ssnn.cli.{options.command}").run(arguments)
        return exit_code

    return run(options.arguments)


def run() -> NoReturn:
    """Be the console script."""
    exit_process(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
