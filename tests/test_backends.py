import importlib
import signal
from dataclasses import replace

import numpy as np
import pytest
from support import BACKENDS, open_or_skip, run_python

from ssnn import backends
from ssnn.backends import DTYPES, Accumulation, Options, Program
from ssnn.backends.numpy import NumpyBackend
from ssnn.errors import BackendError, UsageError
from ssnn.initialization import initial_network
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.testing import CHECKS, check_arrays, check_minibatches
from ssnn.training.batch import batch_to_device
from ssnn.training.loop import Loop


@pytest.mark.parametrize(
    "name", [pytest.param("jax", marks=pytest.mark.jax), pytest.param("torch", marks=pytest.mark.torch)]
)
def test_a_library_without_a_gpu_says_what_would_bring_one(name):
    backend = open_or_skip(name)
    if backend.device != "cpu":
        pytest.skip("there is a device")
    with pytest.raises(BackendError, match=f"{name} has no device 'gpu' here: on the CPU only: .*what would help: "):
        backends.open_backend(name, device="gpu")
    with pytest.raises(BackendError, match=f"tf32 needs an NVIDIA GPU, and {name} runs on cpu here"):
        backends.open_backend(name, precision="tf32")


class WithGpu(NumpyBackend):
    """NumPy as if it also ran on a GPU."""

    device_kinds = ("cpu", "cuda")

    @classmethod
    def devices(cls):
        return ("cuda:0", "cpu")


def test_threads_are_the_cpu_s_and_tf32_is_a_gpu_s():
    assert WithGpu(Options(precision="tf32")).device == "cuda:0"
    assert WithGpu(Options(device="cpu", threads=1)).device == "cpu"
    with pytest.raises(UsageError, match="threads are a setting of the CPU, and numpy runs on cuda:0 here"):
        WithGpu(Options(threads=1))
    with pytest.raises(BackendError, match="tf32 needs an NVIDIA GPU, and numpy runs on cpu here"):
        WithGpu(Options(device="cpu", precision="tf32"))


@pytest.mark.parametrize("name", backends.BUILT_IN)
def test_the_command_that_installs_a_library_needs_none(name):
    module, _, found = backends.BUILT_IN[name].partition(":")
    assert getattr(importlib.import_module(module), found).install_command().startswith("python -m pip install ")


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_our_backends_keep_the_contract(name, dtype, check):
    check(open_or_skip(name, dtype=dtype))


class Wrong(NumpyBackend):
    """NumPy that brings some arrays to the device as other ones."""

    def __init__(self, bring):
        super().__init__(Options())
        self.asarray = bring


def refuse_reversed(array):
    if any(stride < 0 for stride in array.strides):
        raise ValueError("negative strides")
    return array


@pytest.mark.parametrize(
    ("bring", "error", "message"),
    [
        (lambda array: array.astype("int16") if array.dtype == "int64" else array, AssertionError, "as int16"),
        (lambda array: array.astype(float) if array.dtype == "int64" else array, AssertionError, "as float64"),
        (np.atleast_1d, AssertionError, "zero-dimensional array of .* came back as"),
        (lambda array: array[::-1] if array.strides[:1] < (0,) else array, AssertionError, "a reversed array"),
        (refuse_reversed, ValueError, "negative strides"),
    ],
)
def test_a_backend_that_changes_arrays_or_refuses_some_is_found(bring, error, message):
    with pytest.raises(error, match=message):
        check_arrays(Wrong(bring))


class WrongMinibatches(NumpyBackend):
    """NumPy whose loop over mini-batches is a wrong one, made of the right one."""

    def __init__(self, wrong):
        super().__init__(Options(dtype="float64"))
        self.wrong = wrong

    def minibatch_loop(self, gradients, update, accumulation):
        right = super().minibatch_loop
        return Program(self.wrong(right, gradients, update, accumulation), self.library_config)


def no_weights(right, *functions):
    def run(state, X, Y, places, sample_weight, rate):
        return right(*functions)(state, X, Y, places, np.full_like(sample_weight, 1 / sample_weight[0].size), rate)

    return run


def weights_of_the_first(right, *functions):
    """A short mini-batch counts less than it should."""

    def run(state, X, Y, places, sample_weight, rate):
        return right(*functions)(state, X, Y, places, (sample_weight > 0) * sample_weight[0, 0, 0, 0], rate)

    return run


def last_minibatch_skipped(right, *functions):
    def run(state, X, Y, places, sample_weight, rate):
        reached, costs = right(*functions)(state, X, Y, places[:-1], sample_weight[:-1], rate)
        _, last = right(*functions)(reached, X, Y, places[-1:], sample_weight[-1:], rate)
        return reached, np.concatenate([costs, last])

    return run


def one_order_for_all_passes(right, *functions):
    first = []

    def run(state, X, Y, places, sample_weight, rate):
        first.append((places, sample_weight))
        return right(*functions)(state, X, Y, *first[0], rate)

    return run


def state_of_the_optimizer_forgotten(right, *functions):
    def run(state, *arguments):
        reached, costs = right(*functions)(state, *arguments)
        return reached._replace(optimizer=state.optimizer), costs

    return run


def costs_after_the_updates(right, *functions):
    def run(state, X, Y, *minibatches, rate):
        reached, costs = right(*functions)(state, X, Y, *minibatches, rate)
        return reached, np.concatenate([costs[1:], costs[:1]])

    return lambda *arguments: run(*arguments[:-1], rate=arguments[-1])


def an_update_after_each_microbatch(right, gradients, update, accumulation):
    whole = replace(accumulation, per_call=1, threads=1)

    def run(state, X, Y, places, sample_weight, rate):
        k, p, s = places.shape
        each = places.reshape(k * p, 1, s), sample_weight.reshape(k * p, 1, 1, s)
        reached, costs = right(gradients, update, whole)(state, X, Y, *each, rate)
        return reached, costs.reshape(k, p).sum(axis=1)

    return run


@pytest.mark.parametrize(
    "wrong",
    [
        no_weights,
        weights_of_the_first,
        last_minibatch_skipped,
        one_order_for_all_passes,
        state_of_the_optimizer_forgotten,
        costs_after_the_updates,
        an_update_after_each_microbatch,
    ],
    ids=lambda wrong: wrong.__name__,
)
def test_a_backend_that_goes_wrong_on_mini_batches_is_found(wrong):
    assert check_minibatches in CHECKS
    with pytest.raises(AssertionError, match=r"^mini-batches of \d+, \(.*\): the (network is|costs)"):
        check_minibatches(WrongMinibatches(wrong))
    check_minibatches(WrongMinibatches(lambda right, *functions: right(*functions)))


@pytest.mark.parametrize("raw_pixels", [False, True])
def test_what_the_loop_and_the_transfer_give_has_been_waited_for(monkeypatch, few_digits, raw_pixels):
    backend, waited = open_or_skip("numpy"), []
    monkeypatch.setattr(backend, "synchronize", waited.append)
    monkeypatch.setattr(backend, "accumulation", lambda *_, **__: Accumulation(200, raw_pixels=raw_pixels))
    standardization = fit_pixels(few_digits.train.pixels)
    start = initial_network((784, 10, 1), 0, standardization.features)
    batch = batch_to_device(backend, standardization, few_digits.train, start, Stopwatch())
    assert [tuple(map(id, tree)) for tree in waited] == [tuple(map(id, (batch.X, batch.Y, batch.sample_weight)))]
    loop = Loop(backend, batch, 0.5, Stopwatch())
    state, _ = loop.run(loop.begin(backend.to_device(start)), 2)
    assert waited[-1] is state


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("numpy", "OMP_NUM_THREADS"),
        ("numpy", "OPENBLAS_NUM_THREADS"),
        pytest.param("torch", "OMP_NUM_THREADS", marks=pytest.mark.torch),
        pytest.param("strict", "OMP_NUM_THREADS", marks=pytest.mark.strict),
    ],
)
def test_a_variable_that_is_no_number_of_threads_is_named(monkeypatch, name, variable):
    open_or_skip(name)
    for value in ("", "1", "1024", *(["2,1"] if variable == "OMP_NUM_THREADS" else [])):
        monkeypatch.setenv(variable, value)
        backends.open_backend(name)
    for value in ("0", "-1", "1025", "abc", "1.5", "9" * 5000):
        monkeypatch.setenv(variable, value)
        with pytest.raises(BackendError, match=rf"{variable} is .*, which is no number .* or a whole number .* 1024$"):
            backends.open_backend(name)


@pytest.mark.strict
def test_a_variable_that_a_library_cannot_take_is_named():
    open_or_skip("strict")
    code = "import ssnn; print([a.remedy for a in ssnn.available_backends() if a.name == 'strict'])"
    assert run_python(code, ARRAY_API_STRICT_API_VERSION="x") == "['ARRAY_API_STRICT_API_VERSION left unset']"


PROCESS = """
import contextlib, importlib, locale, os, random, signal, sys, threading, warnings
import numpy as np, threadpoolctl, ssnn
importlib.import_module({library!r})
with contextlib.suppress(ImportError):
    import scipy.sparse  # which adds a filter for warnings, and which CuPy imports late

def threads():
    # tests/cuda_on_cpu has an OpenBLAS of its own.
    found = threadpoolctl.threadpool_info()
    return [pool["num_threads"] for pool in found if "openblas32" not in pool["filepath"]]

def process():
    return {{
        "environment": dict(os.environ),
        "signals": {{number: signal.getsignal(number) for number in signal.valid_signals()}},
        "signal mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "warnings": list(warnings.filters),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook, sys.gettrace()),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": set(threading.enumerate()),
        "NumPy's errors": np.geterr(),
        "NumPy's printing": np.get_printoptions(),
        "random numbers": (random.getstate(), np.random.get_state()[1].tolist()),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "recursion": sys.getrecursionlimit(),
        "threads of libraries": threads(),
    }}

digits, before = ssnn.load_data("synthetic"), process()
ssnn.fit(digits, {name!r}, ssnn.Settings(iterations=2))
after = process()
print([what for what in before if before[what] != after[what]])
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="the system has no signal masks")
def test_a_run_leaves_the_process_as_it_found_it(backend_name):
    library = backends.open_backend(backend_name).library
    assert run_python(PROCESS.format(library=library, name=backend_name)) == "[]"


HEAVY = {"cupy", "jax", "torch", "array_api_strict"}


LOADED = f"; import sys; print(sorted({HEAVY} & set(sys.modules)))"


def test_importing_ssnn_imports_no_backend_s_library_and_changes_no_setting():
    code = (
        "import os, warnings, numpy as np, threadpoolctl\n"  # which sets a variable of its own
        "before = dict(os.environ), np.geterr(), list(warnings.filters)\n"
        "import ssnn, ssnn.__main__, ssnn.backends, ssnn.data, ssnn.training.trainer, ssnn.train\n"
        "assert before == (dict(os.environ), np.geterr(), list(warnings.filters))" + LOADED
    )
    assert run_python(code) == "[]"


def test_running_one_backend_imports_no_other_one(backend_name):
    arguments = ["--quiet", "--data", "synthetic", "--iterations", "1", "--backend", backend_name]
    run = f"from ssnn.__main__ import main; main({['train', *arguments]})"
    loaded = run_python(run + LOADED).splitlines()[-1]
    library = backends.open_backend(backend_name).library
    assert loaded == str(sorted({library} & HEAVY))
