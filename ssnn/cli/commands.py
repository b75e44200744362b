"""The commands by name."""

import argparse
import importlib
import os
from collections.abc import Sequence
from typing import Any

from ssnn.cli.program import Parser, command
from ssnn.errors import UsageError
from ssnn.version import __version__

COMMANDS = {  # each is `run` in a file of its own in ssnn/cli
    "train": "train a network",
    "predict": "predict the digit on each image",
    "evaluate": "evaluate a saved model on the test images",
    "explain": "explain the wrong predictions",
    "compare": "find the fastest backend for this machine",
    "backends": "show which backends can run on this machine",
}
SHELLS = ("bash", "zsh", "tcsh")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that is named, without one print the help; returns the exit code."""
    options = argparse.Namespace(command=None)

    @command("ssnn")
    def choose(arguments: Sequence[str]) -> None:
        parser = _parser()
        parser.parse_args(arguments, options)
        if options.print_completion is not None:
            print(_completion(parser, options.print_completion))
        elif options.command is None:
            parser.print_help()

    exit_code = choose(arguments)
    if exit_code or options.command is None or options.print_completion is not None:
        return exit_code

    @command(f"ssnn {options.command}")
    def run(arguments: Sequence[str]) -> int | None:
        exit_code: int | None = _imported(options.command).run(arguments)
        return exit_code

    return run(options.arguments)


def _imported(name: str) -> Any:
    """The command's module, imported only now that a signal ends the program cleanly.

    Raises
    ------
    UsageError
        If tqdm, which reads its variables when it is imported, refuses one.
    """
    try:
        return importlib.import_module(f"ssnn.cli.{name}")
    except ValueError as error:
        variables = ", ".join(variable for variable in os.environ if variable.startswith("TQDM_"))
        if not variables:
            raise
        raise UsageError(f"tqdm, which draws progress bars, refuses one of {variables}: {error}") from error


def _completion(parser: Parser, shell: str) -> str:
    """The script that completes this parser's options, the commands and theirs."""
    from ssnn.cli.completion import script

    return script(parser, {name: (purpose, _imported(name).parser()) for name, purpose in COMMANDS.items()}, shell)


def _parser() -> Parser:
    purposes = "\n".join(f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items())
    parser = Parser(
        prog="ssnn",
        usage="ssnn [OPTION] COMMAND [ARGUMENT ...]",
        description="The shallow neural network on every array library, from one source.",
        epilog=f"commands:\n{purposes}\n\nssnn COMMAND --help shows the arguments of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ssnn {__version__}")
    parser.add_argument(
        "--print-completion",
        choices=SHELLS,
        metavar="SHELL",
        help="print what completes commands and options in bash, zsh or tcsh; for bash: "
        "ssnn --print-completion bash > ~/.local/share/bash-completion/completions/ssnn",
    )
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
