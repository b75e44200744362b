"""Text from outside: whatever it holds, what is shown is one line that does nothing to a terminal."""

import sys
import unicodedata

import pytest

from ssnn.errors import DataError, SsnnError
from ssnn.printable import MAX_LENGTH, printable


def test_ordinary_text_stays():
    for text in ("", "data/mnist 2.gz", "Zahlen/Größe 1–2, σ ← 数字"):
        assert printable(text) == text


def test_nothing_that_controls_a_terminal_or_breaks_an_encoding_remains():
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    for start in range(0, len(everything), MAX_LENGTH):
        shown = printable(everything[start : start + MAX_LENGTH])
        shown.encode()
        assert len(shown.splitlines()) <= 1
        assert not {unicodedata.category(sign) for sign in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_of_a_long_text_beginning_and_end_are_kept():
    assert printable(MAX_LENGTH * "x") == MAX_LENGTH * "x"
    shown = printable("begin" + 500_000 * "x" + "end")
    assert len(shown) <= MAX_LENGTH
    assert shown.startswith("beginx")
    assert shown.endswith("xend")


@pytest.mark.parametrize("kind", [SsnnError, DataError])
def test_the_message_of_every_error_is_one_printable_line(kind):
    assert str(kind("a\x1b[31m\nb\udcff\N{RIGHT-TO-LEFT OVERRIDE}c")) == "a�[31m�b��c"
