import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import types
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from array_api_compat import array_namespace
from support import BACKENDS, import_or_skip, open_or_skip

from ssnn import backends, data
from ssnn.agreement import disagreement, tolerance
from ssnn.backends.base import Backend
from ssnn.backends.cupy import CupyBackend
from ssnn.backends.numpy import NumpyBackend
from ssnn.cli.backends import main
from ssnn.errors import BackendError, UsageError
from ssnn.initialization import initial_network
from ssnn.network import gradients, update
from ssnn.settings import Settings
from ssnn.standardize import Standardization
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import network_to_device, network_to_host, samples_to_device
from ssnn.training.trainer import fit, prepare


def run_python(code: str, **environment: str) -> str:
    """What a fresh process prints for this code."""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def fake_cupy(gpus: int, cublas: bool = True) -> types.ModuleType:
    """NumPy dressed as CuPy, with so many devices: it shows what our backend asks of CuPy, not what CuPy computes."""
    device = []

    class Device:
        def __init__(self, index):
            self.index = index

        def __enter__(self):
            device.append(self.index)

        def __exit__(self, *_):
            device.pop()

        def synchronize(self):
            pass

    class Array(np.ndarray):
        def __matmul__(self, other):
            if not cublas:
                raise ImportError("libcublas.so.13: cannot open shared object file")
            return super().__matmul__(other)

    def asarray(array):
        assert device, "arrays are made on the device that was chosen"
        return np.array(array).view(Array)

    module = types.ModuleType("cupy")
    module.__version__ = "0"
    module.current = device
    module.asarray, module.asnumpy = asarray, np.array
    module.cuda = types.SimpleNamespace(
        is_available=lambda: gpus > 0,
        Device=Device,
        runtime=types.SimpleNamespace(
            getDeviceCount=lambda: gpus, getDeviceProperties=lambda index: {"name": f"Fake {index}".encode()}
        ),
    )
    return module


@pytest.fixture
def fresh_cupy(monkeypatch):
    """No earlier test has fixed the precision of CuPy."""
    monkeypatch.setattr(CupyBackend, "_process_precision", None)
    monkeypatch.setenv("CUPY_TF32", "")


@pytest.fixture
def two_gpus(monkeypatch, fresh_cupy):
    module = fake_cupy(gpus=2)
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="'mlx'; choose one of numpy, cupy, jax, torch, strict"):
        backends.open_backend("mlx")


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


def test_cupy_not_installed_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match=r"cupy is not installed.*python -m pip install \"cupy-cuda1[23]x\[ctk\]\""):
        backends.open_backend("cupy")


def test_cupy_without_a_device_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(gpus=0))
    with pytest.raises(BackendError, match=r"'cupy' cannot run here: no CUDA device is visible.*nvidia-smi"):
        backends.open_backend("cupy")


@pytest.mark.cupy
def test_the_real_cupy_without_a_device_is_told():
    cupy = import_or_skip("cupy")
    if cupy.cuda.is_available_backends():
        pytest.skip("there is a device")
    with pytest.raises(BackendError, match="no CUDA device is visible"):
        backends.open_backend("cupy")


def test_a_library_that_cannot_be_imported_is_told(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13:\\n cannot open')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match=r"cupy fails: libcudart.so.13: cannot open"):
        backends.open_backend("cupy")


@pytest.mark.usefixtures("two_gpus")
def test_cupy_runs_on_the_first_gpu_or_the_chosen_one():
    assert backends.open_backend("cupy").describe().device == "cuda:0 (Fake 0)"
    assert backends.open_backend("cupy", device="gpu").device == "cuda:0"
    assert backends.open_backend("cupy", device="cuda:1").describe().device == "cuda:1 (Fake 1)"
    with pytest.raises(BackendError, match="cupy has no device 'cuda:2' here: its devices are cuda:0, cuda:1"):
        backends.open_backend("cupy", device="cuda:2")
    with pytest.raises(UsageError, match="cupy never runs on 'cpu', only on cuda"):
        backends.open_backend("cupy", device="cpu")
    with pytest.raises(UsageError, match="threads are a setting of the CPU, and cupy runs on cuda:0"):
        backends.open_backend("cupy", threads=2)


@pytest.mark.usefixtures("fresh_cupy")
def test_cupy_without_its_cuda_libraries_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(gpus=1, cublas=False))
    with pytest.raises(BackendError, match=r"cupy cannot multiply matrices here: libcublas.*pip install .*\[ctk\]"):
        backends.open_backend("cupy")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("precision", "variable", "other"), [("highest", "0", "tf32"), ("tf32", "1", "highest")])
def test_cupy_pins_its_precision_for_the_process(precision, variable, other):
    backends.open_backend("cupy", precision=precision)
    assert os.environ["CUPY_TF32"] == variable
    assert backends.open_backend("cupy", precision=precision).describe().precision == precision
    with pytest.raises(BackendError, match=f"cupy runs in {precision} precision here: use a new process"):
        backends.open_backend("cupy", precision=other)


def test_tf32_is_refused_in_float64():
    with pytest.raises(UsageError, match="tf32 is a precision of float32, not of float64"):
        backends.open_backend("cupy", precision="tf32", dtype="float64")


def test_cupy_computes_on_the_chosen_device(two_gpus):
    backend = backends.open_backend("cupy", device="cuda:1")
    used = backend.compile(lambda x: (x + 1, list(two_gpus.current)))
    total, device = used(backend.asarray(np.ones(2)))
    assert device == [1]
    assert backend.to_numpy(total).tolist() == [2, 2]


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


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_arrays_come_back_as_they_went_in(name, dtype, random):
    backend = open_or_skip(name, dtype="float64")
    array = random.integers(0, 256, (3, 5)).astype(dtype)
    array.flags.writeable = False
    back = backend.to_numpy(backend.asarray(array))
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_loop_is_so_many_steps(name):
    """What is computed here is no training: it counts, so that an iteration or a piece too many is seen."""
    backend = open_or_skip(name, dtype="float64")

    def samples_and_network(network, X, Y, weight):
        xp = array_namespace(X)
        weighted = xp.sum(X * weight, axis=(-2, -1), keepdims=True)
        return ((weighted,),), xp.sum(X, axis=(-2, -1)) + network[0][0][0, 0]

    def add(network, gradient, learning_rate):
        return ((network[0][0] + gradient[0][0] * learning_rate,),)

    X = np.arange(3.0)[:, None, None] * np.ones((3, 2, 8))  # pieces of 2 features and 8 samples: 0, 1 and 2
    batch = [backend.asarray(array) for array in (X, X[:, :1], X[:, :1] * 0 + 0.125)]
    network = ((backend.asarray(np.ones((1, 1))),),)
    ((end,),), costs = backend.loop(samples_and_network, add, 4)(network, *batch, 10.0)
    assert backend.to_numpy(end).tolist() == [[1 + 4 * 10 * 6]]
    np.testing.assert_allclose(backend.to_numpy(costs), [51, 231, 411, 591])


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("hidden", [(10,), (), (64,), (4, 3)])
@pytest.mark.parametrize("samples", [1, 95, 97, 3000, 5001])
def test_pieces_change_nothing_but_the_rounding(random, name, hidden, samples):
    """However many samples there are, with or without some that fill up the last piece."""
    backend = open_or_skip(name, dtype="float64")
    digits = data.Samples(random.integers(0, 256, (samples, 784), np.uint8), random.integers(0, 2, samples, np.uint8))
    standardization = Standardization(np.arange(2, 620), np.full(618, 100.0), np.full(618, 70.0), n_constant=0)
    network = initial_network((618, *hidden, 1), seed=0)
    length = backend.piece_length(samples, max(layer.W.size for layer in network))
    batch = samples_to_device(backend, standardization, digits, length, Stopwatch())
    assert batch.X.shape == (-(-samples // length), 618, length)
    trained, costs = backend.loop(gradients, update, 3)(network_to_device(backend, network), *batch, 0.5)
    X, Y = (digits.pixels[:, 2:620].T - 100.0) / 70.0, digits.labels[None].astype(float)
    for cost in backend.to_numpy(costs):
        gradient, expected = gradients(network, X, Y, 1 / samples)
        network = update(network, gradient, 0.5)
        assert cost == pytest.approx(expected, rel=tolerance("float64", 3))
    assert disagreement(network_to_host(backend, trained), network) < tolerance("float64", 3)


def test_numpy_has_the_same_bits_however_its_threads_run(few_digits):
    runs = [fit(few_digits, backends.open_backend("numpy", threads=3), Settings(iterations=40)) for _ in range(5)]
    assert all(run.costs == runs[0].costs and disagreement(run.network, runs[0].network) == 0 for run in runs)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_thread_computes_a_share(threads, few_digits):
    backend = backends.open_backend("numpy", threads=threads)
    _, network, batch = prepare(few_digits.train, backend, Settings(hidden=(500,)), Stopwatch())
    seen = set()

    def watched(*arguments):
        seen.add(threading.get_ident())
        time.sleep(0.01)
        return gradients(*arguments)

    before = threading.active_count()
    backend.loop(watched, update, 2)(network, *batch, 0.5)
    assert len(seen) == threads
    assert threading.active_count() == before


@pytest.mark.jax
def test_a_second_call_of_the_compiled_loop_does_not_compile_again(few_digits):
    import_or_skip("jax")
    backend = open_or_skip("jax")
    _, network, batch = prepare(few_digits.train, backend, Settings(), Stopwatch())
    loop = backend.loop(gradients, update, 3)
    with compilations() as compiled:
        loop.prepare(network, *batch, 0.5)
        assert len(compiled) == 1
        network, _ = loop(network, *batch, 0.5)
        loop(network, *batch, 0.25)
        assert len(compiled) == 1


@contextlib.contextmanager
def compilations():
    """The compilations of JAX that this block does, as they come."""
    from jax import monitoring

    compiled = []

    def listen(event, *_, **__):
        if listening and "backend_compile" in event:
            compiled.append(event)

    listening = True
    monitoring.register_event_duration_secs_listener(listen)
    yield compiled
    listening = False


@pytest.mark.jax
def test_float64_on_jax_is_float64_and_stays_within_our_calls():
    import_or_skip("jax")
    code = """
import numpy as np, jax, jax.numpy as jnp
from ssnn.backends import open_backend
backend = open_backend("jax", dtype="float64")
x = backend.asarray(np.array([1.0, 1e-12]))
print(backend.compile(jnp.sum)(x).dtype, backend.to_numpy(backend.compile(jnp.sum)(x)) - 1 > 0)
print(jax.config.jax_enable_x64, jnp.ones(1).dtype, jax.config.jax_default_matmul_precision)
"""
    assert run_python(code) == "float64 True\nFalse float32 None"


@pytest.mark.jax
def test_threads_of_jax_are_set_before_it_starts():
    import_or_skip("jax")
    opened = "from ssnn.backends import open_backend; print(open_backend('jax', threads=1).describe().threads)"
    assert run_python(opened, NPROC="") == "1"
    refused = f"import jax\ntry:\n {opened}\nexcept Exception as error: print(error)"
    assert "use a new process" in run_python(refused, NPROC="")


@pytest.mark.jax
@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_jax_told_to_use_what_is_not_there_is_not_usable(platform):
    if open_or_skip("jax").device != "cpu":
        pytest.skip("there is a device")
    code = "from ssnn.backends import available; print([(a.usable, a.reason) for a in available_backends() if a.name == 'jax'])"
    assert run_python(code, JAX_PLATFORMS=platform) == "[(False, 'it finds no device')]"


@pytest.mark.jax
def test_a_count_of_threads_that_is_none_is_passed_over():
    import_or_skip("jax")
    code = "from ssnn.backends import open_backend; print(open_backend('jax').describe().threads)"
    assert int(run_python(code, NPROC="abc")) >= 1


@pytest.mark.torch
def test_threads_of_torch_are_held_only_while_it_computes_for_us():
    torch = import_or_skip("torch")
    before = torch.get_num_threads()
    backend = backends.open_backend("torch", device="cpu", threads=before + 1)
    assert backend.describe().threads == before + 1
    assert backend.compile(torch.get_num_threads)() == before + 1
    assert torch.get_num_threads() == before


def test_threads_of_numpy_are_held_only_while_it_computes_for_us():
    from threadpoolctl import threadpool_info

    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]

    if not blas_threads():
        pytest.skip("this NumPy computes without OpenBLAS")
    before = blas_threads()
    backend = backends.open_backend("numpy", threads=1)
    assert backend.describe().threads == 1
    assert set(backend.compile(blas_threads)()) == {1}
    assert blas_threads() == before


class ThirdPartyBackend(NumpyBackend):
    name = "third"
    device_kinds = ("mps", "cpu")

    @classmethod
    def devices(cls):
        return "mps", "cpu"


class UnfinishedBackend(Backend):
    name = "third"


class BrokenBackend(ThirdPartyBackend):
    @classmethod
    def devices(cls):
        raise RuntimeError("its driver is gone")


@pytest.fixture
def entry_points(monkeypatch):
    def set_points(**targets):
        points = [EntryPoint(name, target, "ssnn.backends") for name, target in targets.items()]
        monkeypatch.setattr(backends, "entry_points", lambda group: points)

    return set_points


def test_another_package_adds_a_backend_in_one_file(entry_points):
    entry_points(third="test_backends:ThirdPartyBackend")
    assert backends.names()[-1] == "third"
    third = backends.open_backend("third").describe()
    assert (third.name, third.device) == ("third", "mps")
    assert backends.open_backend("third", device="cpu").device == "cpu"


def test_another_package_cannot_take_our_names(entry_points):
    entry_points(numpy="test_backends:ThirdPartyBackend")
    assert backends.open_backend("numpy").describe().name == "numpy"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:Nothing", "No module named 'nowhere'"),
        ("ssnn.backends.numpy:NumpyBackend", "calls itself 'numpy'"),
        ("json:JSONDecoder", "not a subclass of ssnn.backends.Backend"),
        ("test_backends:UnfinishedBackend", "lacks asarray, install, synchronize, to_numpy, library"),
    ],
)
def test_a_backend_that_cannot_be_loaded_breaks_no_other(entry_points, target, message):
    entry_points(third=target)
    with pytest.raises(BackendError, match=message):
        backends.open_backend("third")
    *ours, third = backends.available_backends()
    assert ours[0].usable
    assert not third.usable
    assert message in third.reason


def test_a_backend_that_breaks_when_asked_hides_no_other(entry_points):
    entry_points(third="test_backends:BrokenBackend")
    *ours, third = backends.available_backends()
    assert ours[0].usable
    assert (third.usable, third.reason) == (False, "numpy fails: its driver is gone")


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


HEAVY = {"cupy", "jax", "torch", "array_api_strict"}
LOADED = f"; import sys; print(sorted({HEAVY} & set(sys.modules)))"


def test_importing_ssnn_imports_no_backend_s_library_and_changes_no_setting():
    code = (
        "import os, warnings, numpy as np; before = dict(os.environ), np.geterr(), list(warnings.filters)\n"
        "import ssnn, ssnn.backends, ssnn.data, ssnn.trainer, ssnn.train\n"
        "assert before == (dict(os.environ), np.geterr(), list(warnings.filters))" + LOADED
    )
    assert run_python(code) == "[]"


def test_running_one_backend_imports_no_other_one(backend_name):
    arguments = ["--quiet", "--data", "synthetic", "--iterations", "1", "--backend", backend_name]
    run = f"from ssnn.train import main; main({arguments})"
    loaded = run_python(run + LOADED).splitlines()[-1]
    library = backends.open_backend(backend_name).library
    assert loaded == str(sorted({library} & HEAVY))
