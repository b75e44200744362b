import json
import sys

import numpy as np
from support import ssnn_command

from ssnn.backends import registry

main = ssnn_command("backends")


def test_the_table_shows_every_backend(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["backend", "numpy", "cupy", "jax", "torch", "strict"]
    assert lines[1].split() == ["numpy", "yes", "numpy", np.__version__, "cpu"]
    assert "cupy: cupy is not installed" in lines
    assert lines[lines.index("cupy: cupy is not installed") + 1].startswith(
        '  what would help: python -m pip install "cupy'
    )


def test_the_table_as_json(capsys):
    assert main(["--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "ssnn.backends/1"
    assert answer["backends"][0] == {
        "name": "numpy",
        "usable": True,
        "library": "numpy",
        "version": np.__version__,
        "devices": ["cpu"],
        "reason": None,
        "remedy": None,
    }


def test_what_a_library_prints_is_no_part_of_the_answer(capsys, monkeypatch, tmp_path):
    (tmp_path / "talkative_library.py").write_text("print('hello')\nimport sys\nsys.exit('bye\x1b')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_others", lambda: {"third": "talkative_library:Any"})
    for arguments in ([], ["--json"]):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert ("hello" in out, "\x1b" in out + err) == (False, False)
        assert "third" in out
        sys.modules.pop("talkative_library", None)
    assert json.loads(out)["backends"][-1]["reason"] == (
        "backend 'third' cannot be loaded: talkative_library:Any: SystemExit: bye\N{REPLACEMENT CHARACTER}"
    )
