"""Every command of the README and of the pages runs, in the order of its page, and prints what is shown."""

import shutil
from pathlib import Path

import pytest
from markdown import Page, difference

ROOT = Path(__file__).parents[1]
NOT_HERE = (  # beginnings of lines
    "for seed in",  # trains for minutes
    "nox",  # .ci/run runs it, and so do the next four
    "pip install",
    "pytest",
    "python -m ssnn compare",
    "ssnn compare",
    "python -m venv",
    "ssnn train --backend torch --device cuda",  # needs two GPUs
)
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if "```sh" in page.read_text())]
JAX = {"backends", "commands"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[pytest.mark.jax] * (path.stem in JAX)) for path in PAGES]
)
def test_the_commands_of_a_page_run_and_print_what_it_shows(path, tmp_path, monkeypatch, data_dir):
    monkeypatch.setenv("SSNN_DATA_DIR", str(data_dir))
    shutil.copytree(ROOT / "docs" / "pictures", tmp_path / "docs" / "pictures")
    page = Page(path, tmp_path, NOT_HERE)
    page.check()
    assert page.ran or path.stem in ("benchmarks", "reliability")  # where all is left to .ci/run


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("image 2031", "image 2031", True),
        ("image 2031", "image 2030", False),
        ("an error rate of 0.0473 %", "an error rate of 0.0474 %", True),
        ("an error rate of 0.0473 %", "an error rate of 0.0946 %", False),
        ("load 0.35 s, 33.5 ms each", "load 1.33 s, 5.1 ms each", True),
        ("first\n…", "first\nsecond\nthird", True),
        ("first\n…\nthird", "first\nthird", True),
        ("first", "first\nsecond", False),
        ("first\n…\nthird", "first\nsecond", False),
        ("logit −0.15", "logit −0.16", False),
        ("1,135", "1,136", False),
    ],
)
def test_what_is_shown_is_held_to_what_is_printed(shown, printed, same):
    assert (difference(shown, printed) is None) == same


def test_the_readme_is_short_and_says_what_ci_runs():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    for command in (ROOT / ".ci" / "run").read_text().split("readme '")[1:]:
        assert command.partition("'")[0] in lines


@pytest.mark.slow
def test_a_command_that_fails_would_be_seen(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("```sh\nssnn evaluate --model missing\n```\n")
    with pytest.raises(AssertionError, match="line 1: ssnn evaluate --model missing\n\nssnn evaluate: error: missing"):
        Page(path, tmp_path, ()).check()
