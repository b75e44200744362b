import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import programs
from benchmarks.peers import ArticlePeer
from benchmarks.programs import PROGRAMS, Timed, Work, prepare_backend, prepare_peer, time_programs
from benchmarks.report.results import KINDS
from ssnn.errors import BackendError, DisagreementError
from ssnn.settings import Settings
from ssnn.timing.trial import reference

ROOT = Path(__file__).parents[1]
SETTINGS = Settings(hidden=(4,), iterations=3)
QUICK = """
from benchmarks import limits
from ssnn.data import mnist
mnist.MIRRORS = ()
limits.MATRIX_SIZE, limits.READ_BYTES = 256, 2**20
"""


@pytest.fixture(scope="module")
def work(few_digits) -> Work:
    network, costs = reference(few_digits, SETTINGS)
    return Work(few_digits, SETTINGS, "float64", network, costs)


def test_calls_alternate_and_a_program_that_fails_leaves_the_others_their_rounds(monkeypatch, work):
    monkeypatch.setattr(programs, "PAUSE", 0.0)
    called, shown = [], []

    def good(name):
        return lambda work: (Timed({"name": name}), lambda: called.append(name))

    def bad(work):
        raise BackendError("not here")

    outcomes = time_programs({"a": good("a"), "bad": bad, "b": good("b")}, work, shown.append, rounds=4)
    assert [sorted(called[start : start + 2]) for start in range(0, 8, 2)] == [["a", "b"]] * 4
    assert {name: len(outcomes[name].seconds) for name in "ab"} == {"a": 4, "b": 4}
    assert str(outcomes["bad"]) == "not here"
    assert shown == ["a: prepare", "bad: prepare", "b: prepare", "4 rounds of 2 programs"]


def test_rows_hold_what_the_report_reads(work):
    backend, _ = prepare_backend("numpy", work)
    peer, _ = prepare_peer(ArticlePeer, "keep", work)
    added = {"ms_per_iteration", "limit_ms", "min", "max", "rounds"}
    for row in (backend.row, peer.row):
        assert set(KINDS[row["kind"]].__dataclass_fields__) - added <= set(row)
        assert json.loads(json.dumps(row)) == row
        assert row["disagreement"] <= row["tolerance"]
    assert (backend.row["features"], peer.row["features"]) == (
        np.sum(np.ptp(work.digits.train.pixels, axis=0) > 0),
        784,
    )


def test_programs_that_do_other_work_are_rejected(work):
    other = replace(work, settings=replace(SETTINGS, seed=562))
    for prepare in (PROGRAMS["float64"]["numpy"], PROGRAMS["float64"]["ArticlePeer-keep"]):
        with pytest.raises(DisagreementError):
            prepare(other)


def test_every_peer_is_measured_on_all_features_or_the_varying_ones():
    peers = {name for name in PROGRAMS["float32"] if "Peer" in name}
    assert peers == {
        f"{peer}Peer-{each}"
        for peer in ("Sklearn", "Torch", "CompiledTorch", "Keras", "Optax")
        for each in ("drop", "keep")
    }
    assert {"TorchPeer-drop", "OptaxPeer-drop", "SklearnPeer-drop", "ArticlePeer-keep"} <= set(PROGRAMS["float64"])


@pytest.fixture
def run_suite(tmp_path):
    """The suite itself in a process: NumPy with 10 hidden neurons in float32, on synthetic digits."""

    def run_suite(*options, plugin=""):
        (tmp_path / "plugin.py").write_text(f"{QUICK}{plugin}")
        command = [sys.executable, "-m", "pytest", "-p", "plugin", "--benchmark-only", "--no-header", *options]
        return subprocess.run(
            [*command, "benchmarks/test_iteration.py", "-k", "10-float32-numpy"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run_suite


def test_a_benchmark_with_a_wrong_result_fails(run_suite):
    wrong_backend = """
from ssnn.backends.numpy import NumpyBackend
loop = NumpyBackend.loop
def wrong_loop(self, gradients, update, k, accumulation):
    return loop(self, gradients, update, k + (self.dtype == "float32"), accumulation)
NumpyBackend.loop = wrong_loop
"""
    process = run_suite(plugin=wrong_backend)
    assert process.returncode == 1
    assert "DisagreementError: numpy float32 differs from" in process.stdout


def test_results_are_saved_compared_and_written_with_every_call(run_suite, tmp_path):
    storage, result = tmp_path / "storage", tmp_path / "result.json"
    options = [
        f"--benchmark-storage={storage}",
        "--benchmark-autosave",
        "--benchmark-compare",
        f"--benchmark-json={result}",
    ]
    process = run_suite(*options)  # there is nothing to compare with yet, and that is a warning
    assert process.returncode == 0, process.stdout + process.stderr
    assert "hidden 10, float32: numpy: prepare" in process.stdout
    (row,) = json.loads(result.read_text())["benchmarks"]
    median = sorted(row["stats"]["data"])[programs.ROUNDS // 2]
    assert (row["stats"]["rounds"], row["stats"]["median"]) == (programs.ROUNDS, median)
    assert row["extra_info"]["ms_per_iteration"] == pytest.approx(1e3 * median / row["extra_info"]["iterations"])
    assert [path.suffix for path in storage.rglob("*") if path.is_file()] == [".json"]
