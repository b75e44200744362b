"""The predict command: a model and files of images in, a line per image out."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend
from ssnn.cli.arguments import add_backend, add_model, open_backend
from ssnn.cli.program import Parser
from ssnn.cli.streams import keep_going
from ssnn.data import idx, pictures
from ssnn.data.dataset import SIDE
from ssnn.errors import DataError, UsageError
from ssnn.model.inference import MAX_BLOCK
from ssnn.model.metrics import percent
from ssnn.model.model import Model
from ssnn.model.serialization import load_model
from ssnn.network import logistic
from ssnn.printable import printable
from ssnn.system.files import atomic_write, check_outputs, check_writable, reason

STANDARD_INPUT = "-"
MAX_INPUT = 1 << 28  # bytes of standard input, which memory holds: five times MNIST's training images


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes
    ----------
    index : int, optional
        Of the image in an IDX file; None for a picture.
    probability : float
        That the model gives to this digit, 0.5 … 1.
    novelty : float
        The novelty score, above 1 where it is unlike the training images; see `ssnn.model.novelty`.
    warning : str, optional
        Why not to trust the digit.
    """

    file: str
    index: int | None
    digit: int
    probability: float
    novelty: float
    warning: str | None


Sink = Callable[[Prediction], None]


def run(argv: Sequence[str]) -> int:
    """Parse, predict, print; the exit code is 5 where a file could not be used."""
    options = parser().parse_args(argv)
    if STANDARD_INPUT in options.files:
        _check_standard_input(options.files)
    if options.json is not None:
        read = ["/dev/stdin" if file == STANDARD_INPUT else file for file in options.files]
        check_outputs([options.json], [options.model, *filter(os.path.isfile, read)])
        check_writable(options.json)
    if options.json not in (None, "-"):
        keep_going()
    model = load_model(options.model)
    backend = open_backend(options, "float64")
    show = _table(options.files) if options.json != "-" else None
    with _json(options.json, model, options.model) as write:
        codes = [_predict_file(file, model, backend, not options.no_normalize, write, show) for file in options.files]
    return max(codes)


def parser() -> Parser:
    """The arguments."""
    parser = Parser(prog="ssnn predict", description="Predict the digit on each image.")
    add_model(parser)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="an IDX file of images, or a picture; - is standard input"
    )
    parser.add_argument(
        "--no-normalize",
        action="store_true",
        help="take pictures as they are, 28x28 with ink bright, and do not crop, scale and centre them as MNIST did",
    )
    parser.add_argument("--json", metavar="FILE", help="everything as one JSON object; - is standard output")
    add_backend(parser, "float64")
    return parser


def _predict_file(file: str, model: Model, backend: Backend, normalize: bool, write: Sink, show: Sink | None) -> int:
    """Predict the images of one file; a file that cannot be used is reported and leaves the others alone."""
    try:
        for prediction in _predictions(model, backend, file, normalize):
            write(prediction)
            if show is not None:
                show(prediction)
    except DataError as error:
        sys.stdout.flush()
        print(f"ssnn predict: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _predictions(model: Model, backend: Backend, file: str, normalize: bool) -> Iterator[Prediction]:
    """One prediction per image of a file, computed a block at a time."""
    path, content = Path(file), None
    if file == STANDARD_INPUT:
        path, content = Path("standard input"), _standard_input()
    is_idx = idx.kind_of(path, content) is not None
    blocks = _idx_blocks(path, content) if is_idx else [pictures.read(path, normalize, content)[None, :]]
    index = 0
    for pixels in blocks:
        logits = model.logits(pixels, backend)
        likely = logistic(abs(logits)).tolist()
        digits = model.decide(logits).tolist()
        scores = model.novelty_score(pixels, backend).tolist()
        ink = np.any(pixels, axis=1).tolist()
        for digit, probability, novelty, has_ink in zip(digits, likely, scores, ink, strict=True):
            warning = _warning(novelty, has_ink)
            yield Prediction(file, index if is_idx else None, digit, probability, novelty, warning)
            index += 1


def _idx_blocks(path: Path, content: bytes | None) -> Iterator[npt.NDArray[np.uint8]]:
    """The images of an IDX file as rows."""
    for block in idx.image_blocks(path, MAX_BLOCK, SIDE, content):
        yield block.reshape(len(block), -1)


def _check_standard_input(files: Sequence[str]) -> None:
    """Refuse to read standard input twice, or to wait for a picture to be typed."""
    if files.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input is named twice, and can be read only once")
    if sys.stdin is not None and sys.stdin.isatty():
        raise UsageError("standard input is a terminal: lead a file into it, as in `ssnn predict … - < FILE`")


def _standard_input() -> bytes:
    """The content of standard input."""
    if sys.stdin is None:
        raise DataError("standard input is closed; lead a file into it, or name one")
    try:
        content = sys.stdin.buffer.read(MAX_INPUT + 1)
    except OSError as error:
        raise DataError(f"standard input: cannot be read ({reason(error)})") from None
    if len(content) > MAX_INPUT:
        raise DataError(f"standard input: more than {MAX_INPUT:,} bytes; name a file instead")
    return content


def _warning(novelty: float, has_ink: bool) -> str | None:
    if not has_ink:
        return "no ink found"
    return "unlike the training images" if novelty > 1 else None


def _table(files: Sequence[str]) -> Sink:
    """Print the head of the table, and return what prints a line of it."""
    widths = [len(printable(file)) for file in files if os.path.isfile(file)]  # the others have no line
    width = max(widths, default=0) + len("[100000]")
    print(f"{'image':<{width}}  digit  probability  novelty")

    def show(prediction: Prediction) -> None:
        index = "" if prediction.index is None else f"[{prediction.index}]"
        name = f"{printable(prediction.file)}{index}"
        warning = f"  {prediction.warning}" if prediction.warning else ""
        figures = f"{prediction.digit:>5}  {percent(prediction.probability):>11}  {prediction.novelty:>7.2f}"
        print(f"{name:<{width}}  {figures}{warning}")

    return show


@contextmanager
def _json(path: str | None, model: Model, name: str) -> Iterator[Sink]:
    """Yield what writes predictions into one JSON object as they come: memory may not hold them all."""
    if path is None:
        yield lambda prediction: None
        return
    about = {"schema": "ssnn.predict/2", "model": name, "digits": model.data.digits}
    separator = "\n"
    with _bytes(path) as write:

        def add(prediction: Prediction) -> None:
            nonlocal separator
            write(f"{separator}{json.dumps(asdict(prediction), allow_nan=False)}".encode())
            separator = ",\n"

        write(json.dumps(about)[:-1].encode() + b', "predictions": [')
        yield add
        write(b"\n]}\n")


def _bytes(path: str) -> AbstractContextManager[Callable[[bytes], object]]:
    """What writes to a file, or to standard output for "-"."""
    return nullcontext(lambda content: sys.stdout.write(content.decode())) if path == "-" else atomic_write(path)
