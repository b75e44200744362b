"""docs/notebook.ipynb runs, and what it shows is what its code gives. `python tests/test_notebook.py` runs it anew."""

import os
import re
import shutil
from pathlib import Path

from support import import_or_skip

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"
NO_PROXY_THERE = "http://127.0.0.1:9"  # so that no mirror of MNIST can be reached


def execute(folder):
    """The notebook, run with what stands beside it in docs, in this folder."""
    nbformat, nbclient = import_or_skip("nbformat"), import_or_skip("nbclient")
    import_or_skip("ipykernel")
    shutil.copytree(DOCS / "pictures", folder / "pictures")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    run = {"resources": {"metadata": {"path": str(folder)}}, "record_timing": False, "coalesce_streams": True}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", **run).execute()
    return notebook


def outputs(notebook):
    """Of each cell of code: its text on standard error, its other text, its HTML."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            errors = "".join(each.text for each in cell.outputs if each.get("name") == "stderr")
            text = "".join(each.text for each in cell.outputs if each.get("name") == "stdout")
            data = [each.data for each in cell.outputs if "data" in each]
            yield (
                errors,
                text + "".join(part["text/plain"] for part in data),
                "".join(p.get("text/html", "") for p in data),
            )


def check(notebook):
    """The text on standard error but for the bar; the cards are shown, and the model that was saved is loaded."""
    errors, texts, pages = zip(*outputs(notebook), strict=True)
    bars = [text for text in errors if re.fullmatch(r"\s*100%\|█+\| 500/500 iterations.*\s*", text)]
    assert len(bars) == 1
    assert sum("<img " in page for page in pages) == 2
    assert any(text.startswith("TrainedModel: 0 or 1, 784→10→1, ") for text in texts)
    assert texts[-1].startswith("Model: 0 or 1, 784→10→1, ")
    return [text for text in errors if text and text not in bars]


def test_it_runs_where_mnist_cannot_be_had(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NO_PROXY_THERE)
    monkeypatch.delenv("no_proxy", raising=False)
    (said,) = check(execute(tmp_path))
    assert "UserWarning: synthetic digits: drawn by the program, because MNIST is not in " in said


def test_what_it_shows_is_what_its_code_gives(tmp_path, monkeypatch, data_dir):
    monkeypatch.setenv("SSNN_DATA_DIR", str(data_dir))
    found = execute(tmp_path)
    assert check(found) == []
    stored = import_or_skip("nbformat").read(NOTEBOOK, as_version=4)
    assert check(stored) == []
    evaluation = [text for _, text, _ in outputs(found) if text.startswith("Evaluation of 2,115 images: 1 wrong")]
    assert evaluation
    assert [text.splitlines()[:2] for text in evaluation] == [
        text.splitlines()[:2] for _, text, _ in outputs(stored) if text.startswith("Evaluation")
    ]


def test_it_names_no_folder_of_a_machine():
    shown = re.sub(r"base64,[A-Za-z0-9+/=]+", "", NOTEBOOK.read_text())
    assert re.search(r"(?<![\w<.:/])/\w+/|\\\\\\\\Users", shown) is None


if __name__ == "__main__":
    import tempfile

    import nbformat

    with tempfile.TemporaryDirectory() as name:
        nbformat.write(execute(Path(name)), NOTEBOOK)
    print(f"{os.path.relpath(NOTEBOOK)} is written")
