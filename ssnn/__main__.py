"""The one door to the commands: `ssnn COMMAND`, which is `python -m ssnn COMMAND`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from ssnn.cli.program import Parser, command, exit_process
from ssnn.version import __version__

COMMANDS = {  # each is `run` in a file of its own in ssnn/cli
    "train": "train a network",
    "predict": "predict the digit on each image",
    "evaluate": "evaluate a saved model on the test images",
    "explain": "explain the wrong predictions",
    "compare": "find the fastest backend for this machine",
    "backends": "show which backends can run on this machine",
}


@command("ssnn")
def main(arguments: Sequence[str]) -> int:
    """Run the command that is named; without one, print the help."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0

    @command(f"ssnn {options.command}")
    def run(arguments: Sequence[str]) -> int | None:
        # Import lazily, so that Ctrl-C during imports exits cleanly.
        exit_code: int | None = importlib.import_module(f"ssnn.cli.{options.command}").run(arguments)
        return exit_code

    return run(options.arguments)


def _parser() -> Parser:
    purposes = "\n".join(f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items())
    parser = Parser(
        prog="ssnn",
        usage="ssnn [--help] [--version] COMMAND [ARGUMENT ...]",
        description="The shallow neural network on every array library, from one source.",
        epilog=f"commands:\n{purposes}\n\nssnn COMMAND --help shows the arguments of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ssnn {__version__}")
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def run() -> NoReturn:
    """Run as the console script."""
    exit_process(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
