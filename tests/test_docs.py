"""What the pages show is true: their Python runs, and each link between them leads somewhere."""

import re
from pathlib import Path

import pytest
from support import import_or_skip

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("docs/*.md")) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
NEEDS = {"adding-a-backend": ["array_api_strict"], "python": ["sklearn", "onnx"]}


def by_name(pages):
    return {"argvalues": pages, "ids": [page.stem for page in pages]}


@pytest.mark.filterwarnings("ignore:synthetic digits")
@pytest.mark.parametrize("page", **by_name([page for page in PAGES if "```python" in page.read_text()]))
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    import_or_skip("sybil")
    from sybil import Sybil
    from sybil.parsers.myst import PythonCodeBlockParser

    for library in NEEDS.get(page.stem, []):
        import_or_skip(library)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    examples = list(Sybil(parsers=[PythonCodeBlockParser()]).parse(page))
    assert examples
    for example in examples:
        example.evaluate()


def anchors(page):
    """The anchors of a page's headings, as GitHub and Sphinx make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", **by_name(PAGES))
def test_its_links_lead_to_what_is_there(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
