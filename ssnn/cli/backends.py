"""The backends command: which backends can run here, and what the others are missing."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict

from ssnn.backends import Availability, available_backends
from ssnn.cli.program import Parser
from ssnn.cli.tables import table
from ssnn.system.files import check_writable, write_json

HEADINGS = ("backend", "usable", "library", "version", "devices")


def run(argv: Sequence[str]) -> None:
    """Print a table, and below it what is missing and what would help."""
    parser = Parser(prog="ssnn backends", description="Show which backends can run on this machine.")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="one JSON object instead of the table")
    options = parser.parse_args(argv)
    if options.json is not None:
        check_writable(options.json)
    with redirect_stdout(sys.stderr):  # a library may print when it is imported
        backends = available_backends()
    if options.json is not None:
        write_json(options.json, {"schema": "ssnn.backends/1", "backends": [asdict(backend) for backend in backends]})
    else:
        print(_table(backends))


def _table(backends: Sequence[Availability]) -> str:
    lines = [table([HEADINGS, *(_row(backend) for backend in backends)])]
    for backend in backends:
        if backend.reason:
            lines += ["", f"{backend.name}: {backend.reason}", f"  what would help: {backend.remedy}"]
    return "\n".join(lines)


def _row(backend: Availability) -> tuple[str, ...]:
    usable = "yes" if backend.usable else "no"
    return backend.name, usable, backend.library or "", backend.version or "", ", ".join(backend.devices)
