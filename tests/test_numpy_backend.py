import threading
import time

import pytest

from ssnn import backends
from ssnn.agreement import disagreement
from ssnn.errors import UsageError
from ssnn.initialization import initial_network
from ssnn.network import update
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.trainer import fit


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtype": "float16"}, UsageError, "unknown dtype 'float16'; choose one of float32, float64"),
        ({"precision": "low"}, UsageError, "unknown precision 'low'; choose one of highest, tf32"),
        ({"precision": "tf32"}, UsageError, "numpy has no tf32"),
        ({"threads": 0}, UsageError, "0 threads: choose 1 … 1024"),
        ({"threads": 1025}, UsageError, "1025 threads: choose 1 … 1024"),
        ({"device": "tpu"}, UsageError, "numpy never runs on 'tpu', only on cpu"),
        ({"device": "cuda:x"}, UsageError, "numpy never runs on 'cuda:x', only on cpu"),
        ({"device": "cpu:1"}, UsageError, "numpy never runs on 'cpu:1', only on cpu"),
        ({"device": "gpu"}, UsageError, "numpy never runs on 'gpu', only on cpu"),
    ],
)
def test_options_that_numpy_never_has_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        backends.open_backend("numpy", **options)


def test_numpy_has_the_same_bits_however_its_threads_run(few_digits):
    runs = [fit(few_digits, backends.open_backend("numpy", threads=3), Settings(iterations=40)) for _ in range(5)]
    assert all(run.costs == runs[0].costs and disagreement(run.network, runs[0].network) == 0 for run in runs)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_thread_accumulates_a_share(threads, few_digits):
    backend = backends.open_backend("numpy", threads=threads)
    standardization = fit_pixels(few_digits.train.pixels)
    start = initial_network((784, 500, 1), 0, standardization.features)
    batch = batch_to_device(backend, standardization, few_digits.train, start, Stopwatch())
    seen = set()

    def watched(network, X, Y, sample_weight):
        seen.add(threading.get_ident())
        time.sleep(0.01)
        return batch.gradients(network, X, Y, sample_weight)

    before = threading.active_count()
    loop = backend.loop(watched, update, 2, batch.accumulation)
    loop(backend.to_device(start), batch.X, batch.Y, batch.sample_weight, 0.5)
    assert len(seen) == threads
    assert threading.active_count() == before


def test_threads_of_numpy_are_held_only_while_it_computes_for_us():
    from threadpoolctl import threadpool_info

    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]

    if not blas_threads():
        pytest.skip("this NumPy computes without OpenBLAS")
    before = blas_threads()
    backend = backends.open_backend("numpy", threads=1)
    assert backend.describe().threads == 1
    assert set(backend.program(blas_threads)()) == {1}
    assert blas_threads() == before
