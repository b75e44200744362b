"""Arguments that several commands take, and what they open."""

import os
import sys
from argparse import Namespace

from ssnn import backends, data
from ssnn.backends import Backend
from ssnn.cli.program import Parser
from ssnn.data import Dataset
from ssnn.errors import BackendError, DataError, UsageError
from ssnn.model.model import Model

BACKEND_VARIABLE = "SSNN_BACKEND"


def add_model(parser: Parser) -> None:
    """The model to use."""
    parser.add_argument("--model", required=True, metavar="FILE", help="as `ssnn train --save FILE` wrote it")


def add_backend(parser: Parser, default_dtype: str) -> None:
    """What runs where; the default dtype is for the help text, and `open_backend` is given it."""
    add = parser.add_argument_group("what runs where").add_argument
    add(
        "--backend",
        metavar="NAME",
        help=f"{', '.join(backends.BUILT_IN)} or one that another package adds "
        f"(default: {BACKEND_VARIABLE}, else numpy)",
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
    rest = options.device, options.dtype or dtype, options.precision, options.threads
    of_variable = os.environ.get(BACKEND_VARIABLE)
    if options.backend is not None or not of_variable:
        return backends.open_backend("numpy" if options.backend is None else options.backend, *rest)
    try:
        return backends.open_backend(of_variable, *rest)
    except (UsageError, BackendError) as error:
        raise type(error)(f"{error} (the backend is the one that {BACKEND_VARIABLE} names)") from error


def add_data(parser: Parser) -> None:
    """Where digits come from."""
    cached = "MNIST is downloaded once, into the per-user cache; SSNN_MNIST_URL names a mirror of one's own."
    add = parser.add_argument_group("data", cached).add_argument
    add(
        "--data",
        metavar="SOURCE",
        help="mnist; idx for any data set in files; synthetic; or auto: what is in the folder, else mnist where it can "
        "be had, else synthetic (default: what the model in use was trained on, else auto)",
    )
    add(
        "--data-dir",
        metavar="DIR",
        help="folder or file of a data set: four IDX files, an archive like Keras's mnist.npz, or CSV files with the "
        "label first (default: SSNN_DATA_DIR)",
    )


def load_data(
    options: Namespace,
    digits: tuple[int, int] = (0, 1),
    bar: bool = False,
    model: Model | None = None,
    samples: int | None = None,
) -> Dataset:
    """The digits that the arguments ask for, by default what this model was trained on; says what was not asked for.

    Raises
    ------
    UsageError
        If the model was trained on data that no command can load, and the arguments name no other.
    DataError
        If there are fewer than this number of samples in the files that were named, so that others had to be drawn.
    """
    source = options.data
    if source is None:
        source = "auto" if model is None else model.data.name
        if source not in data.SOURCES:
            raise UsageError(
                f"the model was trained on {source!r}, which no command can load; say with --data what to take: "
                f"{', '.join(data.SOURCES)}"
            )
    loaded, notices = data.load_with_notices(source, options.data_dir, digits, progressbar=bar)
    for notice in notices:
        print(notice, file=sys.stderr)
    if samples is None:
        return loaded
    path = data.data_directory(options.data_dir)
    is_named = source in ("mnist", "idx") or (source == "auto" and path is not None)
    if is_named and samples > len(loaded.train):
        raise DataError(
            f"{samples:,} samples: {path or loaded.name} has {len(loaded.train):,} images of {digits[0]} and "
            f"{digits[1]}; --data synthetic draws as many as are asked for"
        )
    return data.with_samples(loaded, samples)
