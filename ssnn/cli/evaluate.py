"""The evaluate command: a model and test images in, figures out."""

import sys
from collections.abc import Sequence

from ssnn.cli.arguments import add_backend, add_data, add_model, load_data, open_backend
from ssnn.cli.program import Parser
from ssnn.cli.streams import keep_going
from ssnn.cli.tables import table, wrapped
from ssnn.data import data_files
from ssnn.model.metrics import Evaluation, percent
from ssnn.model.serialization import load_model
from ssnn.system.files import check_outputs, check_writable, write_json


def run(argv: Sequence[str]) -> None:
    """Parse, evaluate, print."""
    options = parser().parse_args(argv)
    if options.json is not None:
        check_outputs([options.json], [options.model, *data_files(options.data_dir)])
        check_writable(options.json)
    if options.json not in (None, "-"):
        keep_going()
    model = load_model(options.model)
    backend = open_backend(options, "float64")
    dataset = load_data(options, model.data.digits, bar=sys.stderr.isatty(), model=model)
    found = model.evaluate(dataset.test, backend)
    if options.json != "-":
        print(_text(found, dataset.name, dataset.classes))
    if options.json is not None:
        about = {"schema": "ssnn.evaluate/1", "model": options.model, "data": dataset.name, "digits": dataset.classes}
        write_json(options.json, about | found.to_json())


def parser() -> Parser:
    """The arguments."""
    parser = Parser(prog="ssnn evaluate", description="Evaluate a saved model on the test images of its two digits.")
    add_model(parser)
    add_data(parser)
    add_backend(parser, "float64")
    parser.add_argument("--json", metavar="FILE", help="everything as one JSON object; - is standard output")
    return parser


def _text(found: Evaluation, name: str, digits: tuple[int, int]) -> str:
    low, high = found.error_rate_interval
    wrong = f"{len(found.errors):,} wrong{': image ' if found.errors else ''}{', '.join(map(str, found.errors))}"
    zero, one = digits
    confusion = table(
        [
            ("", f"taken for {zero}", f"for {one}"),
            *((f"is a {digit}", *(f"{n:,}" for n in row)) for digit, row in zip(digits, found.confusion, strict=True)),
        ],
        numbers={1, 2},
    )
    return (
        f"{found.samples:,} {name} test images of {zero} and {one}\n"
        f"error rate   {percent(found.error_rate)}, with 95 % confidence {percent(low)} … {percent(high)}\n"
        f"log loss     {found.log_loss:.6f} nats\n"
        f"Brier score  {found.brier_score:.6f}\n\n"
        f"{confusion}\n\n"
        f"{wrapped(wrong)}"
    )
