"""Tables and paragraphs of plain text."""

from collections.abc import Collection, Sequence
from textwrap import fill

WIDTH = 80  # columns of a terminal


def table(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """Rows of cells as lines of aligned columns, those of numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = zip(range(len(row)), row, widths, strict=True)
        return "  ".join(cell.rjust(width) if i in numbers else cell.ljust(width) for i, cell, width in cells).rstrip()

    return "\n".join(line(row) for row in rows)


def wrapped(text: str, indent: int = 0) -> str:
    """A paragraph in lines of at most `WIDTH` columns, the later ones indented; a word is never broken."""
    return fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
