import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support import import_or_skip, skip

from benchmarks import article, dolphin, programs
from benchmarks.peers import ArticlePeer, SklearnPeer
from benchmarks.programs import EPOCH, PROGRAMS, Prepared, Work, prepare_backend, prepare_peer, time_programs
from benchmarks.report.results import KINDS, read_results
from ssnn.agreement import disagreement
from ssnn.errors import BackendError, DisagreementError
from ssnn.settings import Settings
from ssnn.timing.trial import reference

ROOT = Path(__file__).parents[1]
DOLPHIN = Path(__file__).parent / "dolphin.txt"
SETTINGS = Settings(hidden=(4,), iterations=3)
QUICK = """
from benchmarks import limits
from ssnn.data import mnist
mnist.MIRRORS = ()
limits.MATRIX_SIZE, limits.READ_BYTES = 256, 2**20
"""


@pytest.fixture(scope="module")
def work_of(few_digits):
    """What programs are to do with these settings."""

    @cache
    def work_of(settings, dtype="float64"):
        return Work(few_digits, settings, dtype, *reference(few_digits, settings))

    return work_of


@pytest.fixture(scope="module")
def work(work_of) -> Work:
    return work_of(SETTINGS)


def test_calls_alternate_and_a_program_that_fails_leaves_the_others_their_rounds(monkeypatch, work):
    monkeypatch.setattr(programs, "PAUSE", 0.0)
    called, shown = [], []

    def good(name):
        return lambda work: Prepared(
            {"name": name}, lambda: called.append(name), lambda: called.append(f"{name} reset")
        )

    def bad(work):
        raise BackendError("not here")

    outcomes = time_programs({"a": good("a"), "bad": bad, "b": good("b")}, work, shown.append, rounds=4)
    assert [sorted(called[start : start + 4 : 2]) for start in range(0, 16, 4)] == [["a reset", "b reset"]] * 4
    assert [f"{name} reset" for name in called[1::2]] == called[::2]
    assert {name: len(outcomes[name].seconds) for name in "ab"} == {"a": 4, "b": 4}
    assert str(outcomes["bad"]) == "not here"
    assert shown == ["a: prepare", "bad: prepare", "b: prepare", "4 rounds of 2 programs"]


def assert_rows(rows):
    """They hold what the report reads, besides what pytest-benchmark and the suite add."""
    added = {"ms_per_iteration", "limit_ms", "min", "max", "rounds"}
    for row in rows:
        assert set(KINDS[row["kind"]].__dataclass_fields__) - added <= set(row)
        assert json.loads(json.dumps(row)) == row
        assert row["disagreement"] <= row["tolerance"]


def test_rows_hold_what_the_report_reads(work):
    backend, peer = prepare_backend("numpy", work).row, prepare_peer(ArticlePeer, "keep", work).row
    assert_rows([backend, peer])
    assert (backend["kind"], peer["kind"]) == ("iteration", "peer")
    assert (backend["features"], peer["features"]) == (np.sum(np.ptp(work.digits.train.pixels, axis=0) > 0), 784)


def test_rows_of_an_epoch_have_its_batches(work_of):
    import_or_skip("sklearn")
    work = work_of(EPOCH, "float32")
    backend, peer = prepare_backend("numpy", work).row, prepare_peer(SklearnPeer, "keep", work).row
    assert_rows([backend, peer])
    assert (backend["kind"], peer["kind"]) == ("epoch", "peer epoch")
    for row in (backend, peer):  # 200 images in batches of 84
        assert (row["optimizer"], row["batch_size"], row["updates"], row["iterations"]) == ("adam", 84, 3, 1)


def test_each_call_of_a_backend_begins_at_the_start(work_of):
    program = prepare_backend("numpy", work_of(EPOCH))
    program.run()
    network, costs = program.run()
    assert disagreement(network, work_of(EPOCH).network) == 0
    np.testing.assert_array_equal(costs, work_of(EPOCH).costs)


@pytest.mark.parametrize(
    "library",
    [
        "sklearn",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("keras", marks=pytest.mark.jax),
        pytest.param("optax", marks=pytest.mark.jax),
    ],
)
def test_dolphin_gets_the_author_s_images_wrong_in_every_library(library, data_dir):
    if not find_spec(library):
        skip(library, f"{library} is not installed")
    command = [sys.executable, "-m", "benchmarks.dolphin", library, data_dir]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines == [line for line in DOLPHIN.read_text().splitlines() if line.startswith(("failed", "total test"))]
    assert len(lines) == 5


@pytest.mark.parametrize("arguments", [[], ["tensorflow", "."], ["torch"]])
def test_dolphin_needs_a_library_and_a_folder(arguments):
    with pytest.raises(SystemExit, match=r"^usage: .* \{sklearn,torch,keras,optax\} FOLDER"):
        dolphin.main(arguments)


def test_dolphin_standardizes_as_the_article_does(random):
    train, test = (random.integers(0, 256, (50, 7), np.uint8) for _ in range(2))
    train[:, 0] = test[:, 0] = 3
    for X, expected in zip(dolphin.standardize(train, test), article.standardize(train.T, test.T), strict=True):
        np.testing.assert_allclose(X, expected.T, rtol=1e-5, atol=1e-5)


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
    """The suite itself in a process: by default NumPy with 10 hidden neurons in float32, on synthetic digits."""

    def run_suite(*options, plugin="", suite="benchmarks/test_iteration.py", select="10-float32-numpy"):
        (tmp_path / "plugin.py").write_text(f"{QUICK}{plugin}")
        command = [sys.executable, "-m", "pytest", "-p", "plugin", "--benchmark-only", "--no-header", *options]
        return subprocess.run(
            [*command, suite, "-k", select],
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


def test_the_suite_of_an_epoch_gives_a_row_of_the_report(run_suite, tmp_path):
    path = tmp_path / "result.json"
    process = run_suite(f"--benchmark-json={path}", suite="benchmarks/test_epoch.py", select="numpy")
    assert process.returncode == 0, process.stdout + process.stderr
    (row,) = read_results(str(path)).epochs
    assert (row.name, row.updates, row.rounds) == ("numpy", 151, 15)
    assert row.in_unit(row.ms_per_iteration) == pytest.approx(1e3 * row.ms_per_iteration / 151)
    assert 0 < row.limit_ms < row.ms_per_iteration


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
