"""Predicting in a shell: a model and files of images in, a line per image out."""

import json
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
from ssnn.data import idx, pictures
from ssnn.errors import DataError
from ssnn.model.inference import MAX_BLOCK
from ssnn.model.model import Model
from ssnn.model.serialization import load_model
from ssnn.network import logistic
from ssnn.system.files import atomic_write, check_outputs, check_writable


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Attributes
    ----------
    index : int, optional
        Of the image in an IDX file; None for a picture.
    probability : float
        That the model gives to this digit, 0.5 … 1.
    novelty_score : float
        To the training images; see `ssnn.model.novelty`.
    warning : str, optional
        Why not to trust the digit.
    """

    file: str
    index: int | None
    digit: int
    probability: float
    novelty_score: float
    warning: str | None


def run(argv: Sequence[str]) -> int:
    """Parse, predict, print; the exit code is 5 where a file could not be used."""
    parser = Parser(prog="ssnn predict", description="Say which digit is on each image.")
    add_model(parser)
    parser.add_argument("files", nargs="+", metavar="FILE", help="an IDX file of images, or a picture")
    parser.add_argument(
        "--no-normalize",
        action="store_true",
        help="take pictures as they are, 28x28 with ink bright, and do not crop, scale and centre them as MNIST did",
    )
    parser.add_argument("--json", metavar="FILE", help="everything as one JSON object; - is standard output")
    add_backend(parser, "float64")
    options = parser.parse_args(argv)
    if options.json is not None:
        check_outputs([options.json], [options.model, *options.files])
        check_writable(options.json)
    model = load_model(options.model)
    backend = open_backend(options, "float64")
    exit_code = 0
    width = max(map(len, options.files)) + len("[100000]")
    if options.json != "-":
        print(f"{'image':<{width}}  digit  probability  novelty_score")
    with _json(options.json, model, options.model) as write:
        for file in options.files:
            try:
                for prediction in _predictions(model, backend, file, not options.no_normalize):
                    write(prediction)
                    if options.json != "-":
                        print(_line(prediction, width))
            except DataError as error:  # the other files may still be good
                sys.stdout.flush()
                print(f"ssnn predict: error: {error}", file=sys.stderr)
                exit_code = error.exit_code
    return exit_code


def _predictions(model: Model, backend: Backend, file: str, normalize: bool) -> Iterator[Prediction]:
    """One prediction per image of a file, computed a block at a time."""
    if Path(file).exists() and not Path(file).is_file():
        raise DataError(f"{file}: a folder, pipe or device; name a file")
    is_idx = idx.is_idx(Path(file))
    blocks = _idx_blocks(file) if is_idx else [pictures.read(file, normalize)[None, :]]
    index = 0
    for pixels in blocks:
        logits = model.logits(pixels, backend)
        likely = logistic(abs(logits)).tolist()
        digits = model.decide(logits).tolist()
        unlike = model.novelty_score(pixels, backend).tolist()
        ink = np.any(pixels, axis=1).tolist()
        for digit, probability, novelty_score, has_ink in zip(digits, likely, unlike, ink, strict=True):
            warning = _warning(novelty_score, has_ink)
            yield Prediction(file, index if is_idx else None, digit, probability, novelty_score, warning)
            index += 1


def _idx_blocks(file: str) -> Iterator[npt.NDArray[np.uint8]]:
    """The images of an IDX file as rows."""
    for block in idx.image_blocks(Path(file), MAX_BLOCK, pictures.SIZE):
        yield block.reshape(len(block), -1)


def _warning(novelty_score: float, has_ink: bool) -> str | None:
    if not has_ink:
        return "no ink found"
    return "unlike the training images" if novelty_score > 1 else None


def _line(prediction: Prediction, width: int) -> str:
    name = prediction.file if prediction.index is None else f"{prediction.file}[{prediction.index}]"
    warning = f"  {prediction.warning}" if prediction.warning else ""
    return (
        f"{name:<{width}}  {prediction.digit:>5}  {prediction.probability:>11.4%}"
        f"  {prediction.novelty_score:>10.2f}{warning}"
    )


@contextmanager
def _json(path: str | None, model: Model, name: str) -> Iterator[Callable[[Prediction], None]]:
    """What writes predictions into one JSON object, as they come: there may be more than memory would hold."""
    if path is None:
        yield lambda prediction: None
        return
    about = {"schema": "ssnn.predict/1", "model": name, "digits": model.data.digits}
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
