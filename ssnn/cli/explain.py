"""Explaining in a shell: a model in, reasons, figures and a page out."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np
from tqdm import tqdm

from ssnn.backends import Backend
from ssnn.cli.arguments import add_backend, add_data, load_data, open_backend
from ssnn.cli.program import Parser
from ssnn.data import Dataset, pictures
from ssnn.errors import UsageError
from ssnn.explain import page, terminal
from ssnn.explain.analysis import Question, explain, test_image
from ssnn.explain.comparison import changed_sides
from ssnn.explain.ensemble import ProgressCallback
from ssnn.explain.records import Explanation
from ssnn.model.model import Model
from ssnn.model.serialization import load_model
from ssnn.system.files import check_outputs, check_writable, write_json, write_text

MOST_IMAGES = 30  # wrong images that are explained one by one, unless others are asked for


def run(argv: Sequence[str]) -> None:
    """Parse, explain, print, write."""
    options = _parser().parse_args(argv)
    if (options.model is None) == (options.compare is None):
        raise UsageError("give either --model FILE or --compare A B; see ssnn explain --help")
    if options.compare and (options.html or options.image or options.index):
        raise UsageError("--compare explains the images that changed sides: leave out --html, --image and --index")
    check_outputs([options.html, options.json], [options.model, *(options.compare or []), *options.image])
    check_report(options.html)
    if options.json is not None:
        check_writable(options.json)
    results = sys.stderr if options.json == "-" else sys.stdout
    models = [load_model(path) for path in options.compare or [options.model]]
    backends = [open_backend(options, model.dtype) for model in models]
    digits = load_data(options, models[0].data.digits, bar=sys.stderr.isatty())
    if options.compare:
        changed = changed_sides(models, digits, backends)
        print(terminal.changes(changed, options.compare, digits.classes), file=results)
        if options.json is not None:
            about = {"schema": "ssnn.explain.compare/1", "models": options.compare, "digits": digits.classes}
            write_json(options.json, about | {"changed": _plain(changed)})
        return
    (model,), (backend,) = models, backends
    questions = [test_image(digits, index) for index in dict.fromkeys(options.index)]
    questions += [Question(file, pictures.read(file)) for file in options.image]
    test = model.evaluate(digits.test, backend)
    explanation = explain_wrong(model, digits, backend, questions, train_more=not options.quick)
    for image in explanation.images:
        print(terminal.image(image, digits.classes), file=results)
    if not questions and len(test.errors) > MOST_IMAGES:
        print(f"these are the first {MOST_IMAGES} of {len(test.errors):,} wrong test images\n", file=results)
    print(terminal.network(explanation, digits.classes), file=results, end="", flush=True)
    if options.json is not None:
        about = {"schema": "ssnn.explain/1", "model": options.model, "data": digits.name, "digits": digits.classes}
        whole = {"training": model.to_json(), "test": test.to_json()}
        write_json(options.json, about | whole | _plain(explanation))
    if options.html is not None:
        write_report(options.html, explanation, model, digits)


def check_report(path: str | None) -> None:
    """Refuse, before anything is computed, a page that could not be written.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    if path == "-":
        raise UsageError("the page goes to a file, not to standard output")
    if path is not None:
        check_writable(path)


def explain_wrong(
    model: Model, digits: Dataset, backend: Backend, questions: Sequence[Question] = (), train_more: bool = True
) -> Explanation:
    """Explain these images, or else those that the model gets wrong, with progress on a terminal."""
    if not questions:
        questions = [test_image(digits, index) for index in model.evaluate(digits.test, backend).errors[:MOST_IMAGES]]
    with _progress() as tell:
        return explain(model, digits, backend, questions, tell, train_more)


def write_report(path: str, explanation: Explanation, model: Model, digits: Dataset) -> None:
    """Write the page, and say so."""
    write_text(path, page.render(explanation, model, digits))
    print(f"report written to {path}", file=sys.stderr)


def _parser() -> Parser:
    parser = Parser(prog="ssnn explain", description="Say why each wrong test image is wrong, and what would help.")
    add = parser.add_argument
    add("--model", metavar="FILE", help="as `ssnn train --save FILE` wrote it")
    add("--compare", nargs=2, metavar=("A", "B"), help="two models: which test images changed sides, and why")
    add("--index", type=int, nargs="+", default=[], metavar="I", help="explain these test images (default: the wrong)")
    add("--image", nargs="+", default=[], metavar="FILE", help="explain these pictures")
    add("--quick", action="store_true", help="train no other networks: no votes, no learning curve")
    add("--html", metavar="FILE", help="a page with all of it, and a place to draw digits")
    add("--json", metavar="FILE", help="all figures as one JSON object; - is standard output")
    add_data(parser)
    add_backend(parser, "that of the model")
    return parser


@contextmanager
def _progress() -> Iterator[ProgressCallback]:
    """A bar on a terminal for what is being trained, a line for each where there is none."""
    if not sys.stderr.isatty():
        told = set()

        def tell_line(what: str, share: float) -> None:
            if what not in told:
                print(f"training other networks: {what}", file=sys.stderr, flush=True)
            told.add(what)

        yield tell_line
        return
    with tqdm(total=1.0, leave=False, bar_format="{l_bar}{bar}| {elapsed}") as bar:

        def tell(what: str, share: float) -> None:
            bar.set_description(f"training other networks: {what}", refresh=False)
            bar.n = share
            bar.refresh()

        yield tell


def _plain(value: Any) -> Any:
    """Dataclasses and arrays as JSON knows them; what is not a number becomes null."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and not isfinite(value) else value
