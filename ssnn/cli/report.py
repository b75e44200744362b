"""The report that `ssnn explain` and `ssnn train` write: its checks, its progress, its file."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tqdm import tqdm

from ssnn.backends import Backend
from ssnn.data import Dataset
from ssnn.errors import UsageError
from ssnn.explain import page
from ssnn.explain.analysis import Question, explain
from ssnn.explain.ensemble import RetrainingCallback
from ssnn.explain.records import Explanation
from ssnn.model.model import Model
from ssnn.printable import printable
from ssnn.system.files import check_writable, write_text


def check_report(path: str | None) -> None:
    """Refuse a page that could not be written, before anything is computed.

    Raises
    ------
    UsageError
        If the file cannot be written.
    SsnnError
        If a library that the page needs is not installed.
    """
    if path is None:
        return
    if path == "-":
        raise UsageError("the page goes to a file, not to standard output")
    check_writable(path)
    page.require()


def explain_wrong(
    model: Model, dataset: Dataset, backend: Backend, questions: Sequence[Question] = (), train_more: bool = True
) -> Explanation:
    """Explain these images, by default the first `MAX_WRONG` wrong test images, with progress on standard error."""
    with _progress() as report:
        return explain(model, dataset, backend, questions or None, report, train_more)


def write_report(path: str, explanation: Explanation, model: Model, dataset: Dataset) -> None:
    """Write the page, and print where it is."""
    write_text(path, page.render(explanation, model, dataset))
    print(f"report written to {printable(path)}", file=sys.stderr)


@contextmanager
def _progress() -> Iterator[RetrainingCallback]:
    """A progress bar on a terminal, else one line per step."""
    if not sys.stderr.isatty():
        reported = set()

        def print_line(step: str, share: float) -> None:
            if step not in reported:
                print(f"training other networks: {step}", file=sys.stderr, flush=True)
            reported.add(step)

        yield print_line
        return
    with tqdm(file=sys.stderr, total=1.0, leave=False, bar_format="{l_bar}{bar}| {elapsed}") as bar:

        def advance(step: str, share: float) -> None:
            bar.set_description(f"training other networks: {step}", refresh=False)
            bar.n = share
            bar.refresh()

        yield advance
