"""The one door to the commands: `ssnn COMMAND`, which is `python -m ssnn COMMAND`.

Everything is imported inside functions: a signal ends a program quietly from its first line on.
"""

import os
import sys

TYPE_CHECKING = False  # as in ssnn/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command that is named, in this process; see `ssnn.cli.commands`."""
    from ssnn.cli import commands

    return commands.main(arguments)


def run(*first: str) -> "NoReturn":
    """Run as a process of its own, with these arguments before those of the process."""
    try:
        from ssnn.system.signals import end_on_signals

        end_on_signals()
    except KeyboardInterrupt:
        print("\nssnn: interrupted", file=sys.stderr, flush=True)
        os._exit(130)
    from ssnn.cli.program import exit_process

    exit_process(main([*first, *sys.argv[1:]]))


if __name__ == "__main__":
    run()
