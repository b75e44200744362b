import threading
import time
from dataclasses import replace
from itertools import count, permutations

import numpy as np
import pytest
from overlap import Inside
from support import open_or_skip
from threadpoolctl import threadpool_info

from ssnn import backends
from ssnn.agreement import disagreement
from ssnn.backends import Accumulation
from ssnn.backends.accumulation import GradientAccumulator, even_size, split
from ssnn.errors import BackendError, UsageError
from ssnn.initialization import initial_network
from ssnn.network import gradients, update
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.minibatch import Order, minibatches_to_device
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


@pytest.mark.parametrize("settings", [Settings(iterations=40), Settings(iterations=2, batch_size=180, hidden=(500,))])
def test_numpy_has_the_same_bits_however_its_threads_run(few_digits, settings):
    runs = [fit(few_digits, backends.open_backend("numpy", threads=3), settings) for _ in range(5)]
    assert all(run.costs == runs[0].costs and disagreement(run.network, runs[0].network) == 0 for run in runs)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("samples", [1, 50, 64, 1023, 1024, 1025, 12_665])
@pytest.mark.parametrize("weights", [10, 585, 586, 6250, 7840, 9375, 9376, 235_200])
def test_numpy_splits_a_batch_as_its_blas_and_the_caches_want_it(threads, samples, weights):
    """A product of up to 600,000 multiplications is not packed; that pays from 64 samples on, in steps of 16."""
    backend = backends.open_backend("numpy", threads=threads)
    split = backend.accumulation(samples, 784, weights)
    unpacked = max(size for size in range(0, 600_001, 16) if size * weights <= 600_000)
    if unpacked >= 64:
        assert split.microbatch_size == min(unpacked, 1024, samples)
    else:
        assert split.microbatch_size == even_size(samples, 1024, threads)
    most = max(1, 1056 // split.microbatch_size)  # microbatches in a call, so that what is computed stays in the cache
    assert split.per_call == even_size(-(-samples // split.microbatch_size), most, threads)
    assert (split.threads, split.devices) == (threads, 1)
    assert backend.accumulation(samples, 784, weights, is_stack=True) == replace(split, per_call=1)


@pytest.mark.strict
@pytest.mark.parametrize("samples", [1, 6399, 6400, 6401, 12_801])
def test_strict_has_few_large_microbatches_one_in_a_call(samples):
    split = open_or_skip("strict", threads=1).accumulation(samples, 784, 7840)
    assert (split.count(samples), split.per_call) == (-(-samples // 6400), 1)


@pytest.mark.parametrize("samples", [1, 5, 16, 17, 1000])
@pytest.mark.parametrize("largest", [1, 3, 8, 2000])
@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_microbatches_are_as_few_as_a_size_allows_and_shared_evenly(samples, largest, multiple):
    fewest = next(number for number in count(multiple, multiple) if number * largest >= samples)
    size = even_size(samples, largest, multiple)
    assert size * fewest >= samples > (size - 1) * fewest
    assert Accumulation(size, devices=multiple).count(samples) * size >= samples
    assert Accumulation(size, devices=multiple).count(samples) % multiple == 0


@pytest.mark.parametrize("threads", [1, 2, 9])
@pytest.mark.parametrize(
    ("per_call", "shapes"),
    [(1, [(5, 4)] * 7), (2, [(1, 5, 4), *[(2, 5, 4)] * 3]), (3, [(1, 5, 4), *[(3, 5, 4)] * 2]), (8, [(7, 5, 4)])],
)
def test_microbatches_come_as_many_at_once_as_the_backend_wants(random, threads, per_call, shapes):
    X, Y, seen = random.integers(0, 100, (7, 5, 4)), np.zeros((7, 1, 4)), []

    def totals(network, X, Y, sample_weight):
        seen.append(X.shape)
        return X.sum(axis=(-2, -1)), X.max(axis=(-2, -1))

    with GradientAccumulator(totals, Accumulation(4, per_call, threads)) as accumulate:
        total, largest = accumulate((), split((X, Y, Y), per_call))
    assert sorted(seen) == sorted(shapes)
    assert total == X.sum()
    assert largest == X.max(axis=(1, 2)).sum()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("samples", "weights", "is_shared"),
    [(84, 6170, False), (510, 7840, False), (511, 7840, True), (84, 50_000, True), (1, 3_999_999, False)],
)
@pytest.mark.parametrize("is_stack", [False, True])
def test_a_mini_batch_is_shared_among_threads_only_where_it_is_large(threads, samples, weights, is_shared, is_stack):
    """From four million samples times weights on: below it, threads cost more than they save."""
    backend = backends.open_backend("numpy", threads=threads)
    found = backend.minibatch_accumulation(samples, 784, weights, is_stack)
    whole = backend.accumulation(samples, 784, weights, is_stack)
    assert found == (whole if is_shared else replace(whole, microbatch_size=samples, per_call=1, threads=1))


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
    seen.clear()
    accumulation = backend.minibatch_accumulation(180, 784, start[0].W.size, False)
    samples = minibatches_to_device(backend, standardization, few_digits.train, start, Order(200, 180, 0), Stopwatch())
    loop = backend.minibatch_loop(watched, update, samples.accumulation)
    loop(backend.to_device(start), *samples.arguments(backend, 0, 2), 0.5)
    assert samples.accumulation == accumulation
    assert len(seen) == threads
    assert threading.active_count() == before


def blas_threads():
    found = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return found or pytest.skip("this NumPy computes without a BLAS whose threads can be set")


def test_threads_of_numpy_are_held_only_while_it_computes_for_us():
    before = blas_threads()
    backend = backends.open_backend("numpy", threads=1)
    assert backend.describe().threads == 1
    assert set(backend.program(blas_threads)()) == {1}
    assert blas_threads() == before


@pytest.mark.parametrize("name", ["numpy", pytest.param("strict", marks=pytest.mark.strict)])
@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_loops_and_programs_that_overlap_leave_blas_and_numpy_as_they_were(name, order):
    before, errors = blas_threads(), np.geterr()
    loop = open_or_skip(name).loop(gradients, update, 1, Accumulation(8)).config
    minibatch_loop = open_or_skip(name).minibatch_loop(gradients, update, Accumulation(8)).config
    program = open_or_skip(name, threads=2).library_config
    holders = [Inside(context, blas_threads) for context in (program, loop, minibatch_loop)]
    assert np.geterr() == errors
    assert backends.open_backend(name).describe().threads == max(before)
    for index in order:
        holders[index].leave()
    assert set(holders[1].seen[0]) == set(holders[2].seen[0]) == {1}
    assert blas_threads() == before


def test_one_thread_of_numpy_starts_no_other_and_more_that_cannot_start_are_told(monkeypatch, few_digits):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    for batch_size in None, 84:
        fit(few_digits, backends.open_backend("numpy", threads=1), Settings(iterations=2, batch_size=batch_size))
    fit(few_digits, backends.open_backend("numpy", threads=2), Settings(iterations=2, batch_size=84))  # too small
    with pytest.raises(BackendError, match=r"can't start new thread: .*; what would help: .*\(--threads 1\)$"):
        fit(few_digits, backends.open_backend("numpy", threads=2), Settings(iterations=2))
