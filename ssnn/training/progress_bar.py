"""The progress of a run as a bar, in a terminal or in a notebook."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ssnn.training.callbacks import ProgressCallback
from ssnn.training.progress import Progress

if TYPE_CHECKING:
    from tqdm import tqdm

LAYOUT = "{l_bar}{bar}| {n_fmt}/{total_fmt} iterations{postfix}"


@contextmanager
def progress_bar(bar: "type[tqdm[Any]]", iterations: int, done: int) -> Iterator[ProgressCallback]:
    """Draw a bar on standard error, or where this class of tqdm's draws it, for a run with so far `done` iterations."""
    with bar(total=iterations, initial=done, bar_format=LAYOUT, dynamic_ncols=True) as drawn:

        def advance(progress: Progress) -> None:
            drawn.set_postfix_str(str(progress), refresh=False)
            drawn.update(progress.iteration - drawn.n)

        yield advance


def notebook_or_terminal() -> "type[tqdm[Any]]":
    """The class that draws where this runs: widgets in a notebook that has them, else text."""
    from tqdm import TqdmWarning  # which takes time to import, and only a run with a bar needs it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # of a notebook without ipywidgets, where text does as well
        from tqdm.auto import tqdm

    return tqdm
