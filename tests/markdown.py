"""Pages of Markdown whose commands are run, so that what a reader sees is what happens.

Blocks in `sh` are run in the order of the page, each as one script, in a folder that has docs/pictures. A block in
`text` that directly follows one is its standard output.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.parsers.myst import CodeBlockParser

INSTALLATION = re.compile(r"^pip install [^&\n]*&& ")  # what runs the tests is installed already
NUMBER = re.compile(r"[+−-]?\d[\d,]*(?:\.\d+)?")
TIME = re.compile(r" m?s\b")


class Page:
    """A page, its commands run in this folder; a block that has a line of `not_here` is not run."""

    def __init__(self, path: Path, folder: Path, not_here: tuple[str, ...]) -> None:
        self.folder, self.not_here = folder, not_here
        self.ran = 0
        self.printed: tuple[int, str] | None = None  # where the last command ends in the page, and what it printed
        parsers = CodeBlockParser("sh", self._run), CodeBlockParser("text", self._compare)
        self.document = Document.parse(str(path), *parsers)

    def check(self) -> None:
        """Run all commands, and compare what they print with what the page shows."""
        for example in self.document.examples():
            example.evaluate()

    def _run(self, example: Example) -> None:
        script = INSTALLATION.sub("", str(example.parsed))
        if any(line.startswith(self.not_here) for line in script.splitlines()):
            return
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=os.environ | {"COLUMNS": "80", "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"line {example.line}: {script}\n{done.stderr}"
        self.ran += 1
        self.printed = example.region.end, done.stdout

    def _compare(self, example: Example) -> str | None:
        if self.printed is None or self.document.text[self.printed[0] : example.region.start].strip():
            return None
        return difference(str(example.parsed), self.printed[1])


def difference(shown: str, printed: str) -> str | None:
    """What differs, or None.

    A line … stands for any lines. Times may be any; other decimals may differ by one part in fifty, since sums are
    taken in another order on another machine; whole numbers may not.
    """
    pattern, numbers = _pattern(shown)
    found = re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.strip().splitlines()))
    if found is None:
        return f"shown:\n{shown}\nprinted:\n{printed}"
    for want, got in zip(numbers, found.groups(), strict=True):
        exact, close = _value(want), pytest.approx(_value(want), rel=0.02)
        if _value(got) != (close if "." in want else exact):
            return f"shown: {want}, printed: {got}"
    return None


def _value(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))


def _pattern(shown: str) -> tuple[str, list[str]]:
    """A regular expression for the text, with its numbers as groups, and those numbers."""
    pattern, numbers = "", []
    for line in shown.strip().splitlines():
        if line == "…":
            pattern += r"(?:.*\n)*"
            continue
        place = 0
        for number in NUMBER.finditer(line):
            pattern += re.escape(line[place : number.start()])
            place = number.end()
            if TIME.match(line, place):
                pattern += r"[\d,.]+"
            else:
                pattern += f"({NUMBER.pattern})"
                numbers.append(number.group())
        pattern += re.escape(line[place:].rstrip()) + r"\n"
    return pattern, numbers
