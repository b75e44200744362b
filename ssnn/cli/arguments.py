"""Arguments that several commands take, and what they open."""

import os
import sys
from argparse import Namespace

from ssnn import backends, data
from ssnn.backends import Backend
from ssnn.cli.program import Parser
from ssnn.data import Dataset


def add_model(parser: Parser) -> None:
    """The model to use."""
    parser.add_argument("--model", required=True, metavar="FILE", help="as `ssnn train --save FILE` wrote it")


def add_backend(parser: Parser, default_dtype: str) -> None:
    """What runs where; the default dtype is for the help text, and `open_backend` is given it."""
    add = parser.add_argument_group("what runs where").add_argument
    add(
        "--backend",
        default=os.environ.get("SSNN_BACKEND") or "numpy",
        metavar="NAME",
        help=f"{', '.join(backends.BUILT_IN)} or one that another package adds (default: SSNN_BACKEND, else numpy)",
    )
    add("--device", help="cpu, gpu, cuda, or one of several as in cuda:1 (default: a GPU if the backend has one)")
    add("--dtype", help=f"{' or '.join(backends.DTYPES)} (default: {default_dtype})")
    add(
        "--precision",
        default="highest",
        help="of matrix products, highest or, on NVIDIA GPUs, tf32 (default: %(default)s)",
    )
    add("--threads", type=int, metavar="N", help="for matrix products on the CPU (default: the library's choice)")


def open_backend(options: Namespace, dtype: str) -> Backend:
    """The backend that the arguments name, in this dtype if they name none."""
    return backends.open_backend(
        options.backend, options.device, options.dtype or dtype, options.precision, options.threads
    )


def add_data(parser: Parser) -> None:
    """Where digits come from."""
    add = parser.add_argument_group("data").add_argument
    add(
        "--data",
        default="auto",
        metavar="SOURCE",
        help="mnist, synthetic, or auto for mnist where it can be had (default: %(default)s)",
    )
    add(
        "--data-dir",
        default=os.environ.get("SSNN_DATA_DIR"),
        metavar="DIR",
        help="folder of MNIST's four files (default: SSNN_DATA_DIR)",
    )


def load_data(options: Namespace, digits: tuple[int, int] = (0, 1), bar: bool = False) -> Dataset:
    """The digits that the arguments ask for; says so where they are drawn because MNIST was not found."""
    loaded = data.load_data(options.data, options.data_dir or None, digits, progressbar=bar)
    if options.data == "auto" and loaded.name == "synthetic":
        print(f"synthetic digits: {loaded.origin}", file=sys.stderr)
    return loaded
