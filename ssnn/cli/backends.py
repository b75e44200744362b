"""The backends command: which backends can run here, and what the others are missing."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict

from ssnn.backends import Availability, available_backends
from ssnn.cli.program import Parser
from ssnn.cli.tables import table, wrapped
from ssnn.system.files import check_writable, write_json

HEADINGS = ("backend", "usable", "library", "version", "devices")


def run(argv: Sequence[str]) -> None:
    """Print a table, and below it what is missing and what would help."""
    options = parser().parse_args(argv)
    if options.json is not None:
        check_writable(options.json)
    with redirect_stdout(sys.stderr):  # a library may print when it is imported
        backends = available_backends()
    if options.json is not None:
        write_json(options.json, {"schema": "ssnn.backends/1", "backends": [asdict(backend) for backend in backends]})
    else:
        print(_table(backends))


def parser() -> Parser:
    """The arguments."""
    parser = Parser(prog="ssnn backends", description="Show which backends can run on this machine.")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="one JSON object instead of the table")
    return parser


def _table(backends: Sequence[Availability]) -> str:
    lines = [table([HEADINGS, *(_row(backend) for backend in backends)])]
    for backend in backends:
        if backend.reason:
            lines += ["", wrapped(f"{backend.name}: {backend.reason}", 2)]
            lines += [wrapped(f"  what would help: {backend.remedy}", 4)]
    return "\n".join(lines)


def _row(backend: Availability) -> tuple[str, ...]:
    usable = "yes" if backend.usable else "no"
    return backend.name, usable, backend.library or "", backend.version or "", _devices(backend.devices)


def _devices(devices: Sequence[str]) -> str:
    """All where they fit into the table, else the first and the last."""
    shown = ", ".join(devices)
    return shown if len(devices) <= 3 else f"{devices[0]} … {devices[-2]}, {devices[-1]}"
