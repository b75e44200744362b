"""The explain command: a model in; findings, figures and a page out."""

import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from ssnn.cli.arguments import add_backend, add_data, load_data, open_backend
from ssnn.cli.program import Parser
from ssnn.cli.report import check_report, explain_wrong, write_report
from ssnn.cli.streams import keep_going
from ssnn.data import data_files, pictures
from ssnn.errors import UsageError
from ssnn.explain import terminal
from ssnn.explain.analysis import Question, test_image
from ssnn.explain.cards import Cards
from ssnn.explain.comparison import changed_predictions
from ssnn.model.metrics import evaluate
from ssnn.model.serialization import load_model
from ssnn.system.files import check_outputs, check_writable, write_json


def run(argv: Sequence[str]) -> None:
    """Parse, explain, print, write."""
    options = parser().parse_args(argv)
    if (options.model is None) == (options.compare is None):
        raise UsageError("give either --model FILE or --compare FILE FILE; see ssnn explain --help")
    if options.compare and (options.html or options.image or options.index):
        raise UsageError("--compare explains the images that changed sides: leave out --html, --image and --index")
    read = [options.model, *(options.compare or []), *options.image, *data_files(options.data_dir)]
    check_outputs([options.html, options.json], read)
    check_report(options.html)
    if options.json is not None:
        check_writable(options.json)
    if {options.html, options.json} - {None, "-"}:
        keep_going()
    results = sys.stderr if options.json == "-" else sys.stdout
    models = [load_model(path) for path in options.compare or [options.model]]
    backends = [open_backend(options, model.dtype) for model in models]
    dataset = load_data(options, models[0].data.digits, bar=sys.stderr.isatty(), model=models[0])
    if options.compare:
        changes = changed_predictions(models, dataset, backends)
        print(terminal.changes(changes, options.compare, dataset.classes), file=results)
        if options.json is not None:
            about = {"schema": "ssnn.explain.compare/2", "models": options.compare, "digits": dataset.classes}
            write_json(options.json, about | {"changed": _plain(changes)})
        return
    (model,), (backend,) = models, backends
    questions = [test_image(dataset, index) for index in dict.fromkeys(options.index)]
    questions += [Question(file, pictures.read(file)) for file in options.image]
    explanation = explain_wrong(model, dataset, backend, questions, train_more=not options.quick)
    test = evaluate(explanation.test_logits.logits, explanation.test_logits.labels)
    print(Cards(explanation, model, are_wrong=not questions), file=results, end="", flush=True)
    if options.json is not None:
        about = {"schema": "ssnn.explain/2", "model": options.model, "data": dataset.name, "digits": dataset.classes}
        whole = {"training": model.to_json(), "test": test.to_json()}
        write_json(options.json, about | whole | _plain(explanation))
    if options.html is not None:
        write_report(options.html, explanation, model, dataset)


def parser() -> Parser:
    """The arguments."""
    parser = Parser(prog="ssnn explain", description="Explain why each wrong test image is wrong, and what would help.")
    add = parser.add_argument
    add("--model", metavar="FILE", help="as `ssnn train --save FILE` wrote it")
    add("--compare", nargs=2, metavar=("FILE", "FILE"), help="two models: which test images changed sides, and why")
    add("--index", type=int, nargs="+", default=[], metavar="I", help="explain these test images (default: wrong ones)")
    add("--image", nargs="+", default=[], metavar="FILE", help="explain these pictures")
    add("--quick", action="store_true", help="retrain no networks: no votes, no learning curve")
    add("--html", metavar="FILE", help="a page with all of it, and a place to draw digits")
    add("--json", metavar="FILE", help="all figures as one JSON object; - is standard output")
    add_data(parser)
    add_backend(parser, "that of the model")
    return parser


def _plain(value: Any) -> Any:
    """Dataclasses and arrays as JSON values; numbers that are not finite become null."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if isinstance(value, float) and not isfinite(value) else value
