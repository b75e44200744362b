"""`python -m ssnn.train` is the same as `ssnn train`."""

import sys

from ssnn.__main__ import main
from ssnn.cli.program import exit_process

if __name__ == "__main__":
    exit_process(main(["train", *sys.argv[1:]]))
