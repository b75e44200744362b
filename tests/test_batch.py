"""Samples on the device: raw or standardised, whole or in shares, and refused where they cannot fit."""

import gc
from dataclasses import replace

import numpy as np
import psutil
import pytest
from support import BACKENDS, open_or_skip

from ssnn import backends
from ssnn.agreement import disagreement, tolerance
from ssnn.backends import Accumulation, Program
from ssnn.data import Samples
from ssnn.data.memmap import load_memmap, release, save_memmap
from ssnn.initialization import initial_network
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Rows, batch_to_device
from ssnn.training.loop import Loop
from ssnn.training.trainer import fit
from ssnn.tree import tree_map


def choosing(backend, **choices):
    """The backend, but for these choices of how a batch is split and kept."""
    chosen = backend.accumulation
    backend.accumulation = lambda *arguments, **options: replace(chosen(*arguments, **options), **choices)
    return backend


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (10,), (6, 4)])
@pytest.mark.parametrize("constant_features", ["drop", "keep"])
def test_on_numpy_raw_pixels_give_the_bits_of_standardised_ones(few_digits, dtype, hidden, constant_features):
    settings = Settings(hidden=hidden, iterations=20, constant_features=constant_features)
    standardized, raw = (
        fit(few_digits, choosing(backends.open_backend("numpy", dtype=dtype), raw_pixels=raw_pixels), settings)
        for raw_pixels in (False, True)
    )
    assert raw.costs == standardized.costs
    assert disagreement(raw.network, standardized.network) == 0


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("microbatch_size", [1, 7, 199, 200])
def test_raw_pixels_in_microbatches_of_any_size_agree(few_digits, name, microbatch_size):
    settings = Settings(hidden=(6, 4), iterations=3)
    reference = fit(few_digits, backends.open_backend("numpy", dtype="float64"), settings)
    backend = choosing(open_or_skip(name, dtype="float64"), raw_pixels=True, microbatch_size=microbatch_size)
    assert disagreement(fit(few_digits, backend, settings).network, reference.network) < tolerance("float64", 3)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_raw_pixels_lose_no_digits_where_pixels_hardly_vary(random, name, dtype):
    """Of values 250 and 251, mean over standard deviation is 500; folded into W and b that would cost 3 digits."""
    pixels = random.integers(250, 252, (300, 30), dtype=np.uint8)
    samples = Rows(pixels, pixels[:, 0] - np.uint8(250))
    standardization = fit_pixels(pixels)
    start = initial_network((30, 5, 1), 0, standardization.features)
    networks = []
    for backend, raw_pixels in (
        (backends.open_backend("numpy", dtype=dtype), False),
        (open_or_skip(name, dtype=dtype), True),
    ):
        batch = batch_to_device(choosing(backend, raw_pixels=raw_pixels), standardization, samples, start, Stopwatch())
        loop = Loop(backend, batch, 0.5, Stopwatch())
        (network, _), _ = loop.run(loop.begin(backend.to_device(start)), 50)
        networks.append(backend.to_host(network))
    assert disagreement(networks[1], networks[0]) < tolerance(dtype, 50)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_weight_counts_as_repeated_samples(few_digits, random, name):
    train, weights = few_digits.train, random.integers(1, 4, len(few_digits.train))
    repeated = Rows(train.pixels.repeat(weights, axis=0), train.labels.repeat(weights))
    standardization = fit_pixels(train.pixels)
    start = initial_network((784, 5, 1), 0, standardization.features)
    results = []
    for backend, samples, given in (
        (backends.open_backend("numpy", dtype="float64"), repeated, None),
        (choosing(open_or_skip(name, dtype="float64"), microbatch_size=7), train, 2.5 * weights),
    ):
        batch = batch_to_device(backend, standardization, samples, start, Stopwatch(), given)
        loop = Loop(backend, batch, 0.5, Stopwatch())
        (network, _), costs = loop.run(loop.begin(backend.to_device(start)), 5)
        results.append((backend.to_host(network), costs))
    (expected, expected_costs), (found, costs) = results
    assert disagreement(found, expected) < tolerance("float64", 5)
    np.testing.assert_allclose(costs, expected_costs, rtol=1e-12)


@pytest.mark.parametrize("raw_pixels", [False, True])
def test_a_batch_that_does_not_fit_is_refused_with_both_sizes(few_digits, monkeypatch, raw_pixels):
    backend = choosing(backends.open_backend("numpy"), raw_pixels=raw_pixels)
    monkeypatch.setattr(backend, "free_memory", lambda: 1000)
    monkeypatch.setattr(backend, "asarray", None)  # nothing is brought to the device before
    with pytest.raises(
        MemoryError, match=r"200 samples take 0\.0 GB as raw pixels and 0\.0 GB in float32, and cpu has"
    ):
        fit(few_digits, backend)


def test_the_sizes_of_a_batch_that_does_not_fit_are_in_units_of_10_to_the_9(monkeypatch):
    pixels = np.broadcast_to(np.uint8(0), (3 * 10**6, 784))
    backend = backends.open_backend("numpy")
    monkeypatch.setattr(backend, "free_memory", lambda: 10**9)
    told = r"3,000,000 samples take 2\.4 GB as raw pixels and 9\.4 GB in float32, and cpu has 1\.0 GB free"
    with pytest.raises(MemoryError, match=told):
        batch_to_device(backend, None, Rows(pixels, pixels[:, 0]), initial_network((784, 10, 1), 0), Stopwatch())


@pytest.mark.parametrize(
    ("sizes", "weights"), [((617, 10, 1), 6170), ((617, 1), 617), ((10, 600, 3, 1), 6000), ((10, 20, 30, 1), 600)]
)
@pytest.mark.parametrize("is_stack", [False, True])
def test_a_backend_is_told_the_sizes_of_batch_and_largest_matrix(monkeypatch, sizes, weights, is_stack):
    def accumulation(*batch, is_stack):
        asked.append((*batch, is_stack))
        return Accumulation(50)

    asked, backend, pixels = [], backends.open_backend("numpy"), np.eye(50, sizes[0], dtype=np.uint8)
    monkeypatch.setattr(backend, "accumulation", accumulation)
    start = initial_network(sizes, 0)
    if is_stack:
        start = tree_map(lambda parameters: np.stack([parameters] * 3), start)
    batch_to_device(backend, fit_pixels(pixels), Rows(pixels, pixels[:, 0]), start, Stopwatch())
    assert asked == [(50, sizes[0], weights, is_stack)]


def test_the_transfer_is_compiled_once_before_it_runs(few_digits, monkeypatch):
    """For arguments of the shapes that it is run with, which is what compiling is for."""
    backend, calls = choosing(backends.open_backend("numpy"), raw_pixels=False, microbatch_size=100, per_call=1), []

    class Recorded(Program):
        def compile(self, *arguments):
            calls.append(("compile", arguments))

        def __call__(self, *arguments):
            calls.append(("run", arguments))
            return super().__call__(*arguments)

    monkeypatch.setattr(backend, "program", lambda function: Recorded(function, backend.library_config))
    standardization = fit_pixels(few_digits.train.pixels)
    start = initial_network((784, 10, 1), 0, standardization.features)
    batch_to_device(backend, standardization, few_digits.train, start, Stopwatch())
    writes = [(what, arguments[1:3], arguments[3].shape) for what, arguments in calls if len(arguments) > 1]
    assert writes == [
        ("compile", (0, 0), (100, 784)),
        ("run", (0, 0), (100, 784)),
        ("run", (1, 0), (100, 784)),
    ]


def test_standardised_samples_are_kept_up_to_half_a_gibibyte():
    backend = backends.open_backend("numpy")
    largest = 2**29 // 4 // 512
    assert not backend.accumulation(largest, 512, 5120).raw_pixels
    assert backend.accumulation(largest + 1, 512, 5120).raw_pixels


def test_memory_mapped_images_are_given_back_as_the_batch_grows(few_digits, tmp_path, random):
    """The batch takes the place of the file's pages in memory: both together never fill it."""
    pixels = random.integers(0, 256, (60_000, 784), dtype=np.uint8)
    save_memmap(replace(few_digits, train=Samples(pixels, np.arange(60_000, dtype=np.uint8) % 2)), tmp_path)
    del pixels
    gc.collect()
    digits = load_memmap(tmp_path, "a test")
    standardization = fit_pixels(digits.train.pixels)
    start = initial_network((784, 2, 1), 0, standardization.features)
    backend = choosing(backends.open_backend("numpy"), raw_pixels=True)
    before = psutil.Process().memory_info().rss
    batch = batch_to_device(backend, standardization, digits.train, start, Stopwatch())
    assert batch.X.dtype == np.uint8
    assert psutil.Process().memory_info().rss - before < 0.2 * batch.X.nbytes


def test_pages_that_were_written_to_are_kept(tmp_path):
    """Of a mapping that copies on write they stand nowhere else."""
    np.save(tmp_path / "pixels.npy", np.zeros((5000, 784), np.uint8))
    pixels = np.load(tmp_path / "pixels.npy", mmap_mode="c")
    pixels[:] = 7
    release(pixels[100:].reshape(-1, 28, 28))
    assert np.all(pixels == 7)
