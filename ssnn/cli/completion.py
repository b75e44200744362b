"""Shell completion: the script that a shell reads, made from the parsers of all commands."""

import argparse
from collections.abc import Mapping

import shtab

from ssnn import backends, data
from ssnn.cli.program import Parser
from ssnn.standardize import CONSTANT_FEATURES

COMPLETED = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}  # by metavar
VALUES = {  # of arguments that name their choices themselves when they refuse one
    "backend": tuple(backends.BUILT_IN),
    "dtype": backends.DTYPES,
    "precision": backends.PRECISIONS,
    "data": data.SOURCES,
    "constant_features": CONSTANT_FEATURES,
}


def script(parser: Parser, commands: Mapping[str, tuple[str, Parser]], shell: str) -> str:
    """Write the script.

    Parameters
    ----------
    parser : Parser
        Of `ssnn` itself, whose options are completed.
    commands : mapping
        The purpose and the parser of each command, by name.
    shell : str
        "bash", "zsh" or "tcsh".
    """
    whole = Parser(prog="ssnn", add_help=False)
    for action in parser._actions:
        if action.option_strings:
            whole._add_action(action)
    choices = whole.add_subparsers()
    for name, (purpose, of_command) in commands.items():
        _say_what_to_complete(of_command)
        choices.add_parser(name, help=purpose, parents=[of_command], add_help=False)
    text: str = shtab.complete(whole, shell)
    return text


def _say_what_to_complete(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        metavar = action.metavar[0] if isinstance(action.metavar, tuple) else action.metavar
        if metavar in COMPLETED:
            action.complete = COMPLETED[metavar]  # type: ignore[attr-defined]  # where shtab looks for it
        action.choices = action.choices or VALUES.get(action.dest)
