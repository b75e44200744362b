import operator
import os
import sys
import threading
import types

import numpy as np
import pytest
from overlap import Inside
from support import import_or_skip, open_or_skip, run_python

from ssnn import backends
from ssnn.backends.cupy import CupyBackend
from ssnn.errors import BackendError, UsageError
from ssnn.initialization import initial_network
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import MAX_STANDARDIZED, Rows, batch_to_device


def fake_cupy(gpus: int, cublas: bool = True) -> types.ModuleType:
    """NumPy dressed as CuPy with this number of devices: it shows what our backend asks of CuPy, not its numbers.

    `busy` are the devices that have not been waited for since they were given something to compute, and `tf32` is what
    the first product has found in the environment.
    """
    busy, own = set(), threading.local()

    def current():
        own.devices = getattr(own, "devices", [])
        return own.devices

    class Device:
        def __init__(self, index):
            self.index = index

        def __enter__(self):
            current().append(self.index)

        def __exit__(self, *_):
            current().pop()

        def synchronize(self):
            busy.discard(self.index)

    class Array(np.ndarray):
        def __matmul__(self, other):
            if not cublas:
                raise ImportError("libcublas.so.13: cannot open shared object file")
            module.tf32 = module.tf32 or os.environ.get("CUPY_TF32")
            busy.add(current()[-1])
            return super().__matmul__(other)

    def asarray(array):
        assert current(), "arrays are made on the device that was chosen"
        return np.array(array).view(Array)

    module = types.ModuleType("cupy")
    module.__version__ = "0"
    module.current, module.busy, module.tf32 = current, busy, None
    module.asarray, module.asnumpy = asarray, np.array
    module.cuda = types.SimpleNamespace(
        is_available=lambda: gpus > 0,
        Device=Device,
        get_current_stream=lambda: Device(current()[-1]),
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
    if cupy.cuda.is_available():
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


@pytest.mark.parametrize(("precision", "variable", "other"), [("highest", "0", "tf32"), ("tf32", "1", "highest")])
def test_cupy_pins_its_precision_for_the_process(two_gpus, precision, variable, other):
    before = dict(os.environ)
    backends.open_backend("cupy", precision=precision)
    assert two_gpus.tf32 == variable
    assert os.environ == before
    assert backends.open_backend("cupy", precision=precision).describe().precision == precision
    with pytest.raises(BackendError, match=f"cupy runs in {precision} precision here: use a new process"):
        backends.open_backend("cupy", precision=other)


def test_tf32_is_refused_in_float64():
    with pytest.raises(UsageError, match="tf32 is a precision of float32, not of float64"):
        backends.open_backend("cupy", precision="tf32", dtype="float64")


def test_cupy_computes_on_the_chosen_device(two_gpus):
    backend = backends.open_backend("cupy", device="cuda:1")
    used = backend.program(lambda x: (x + 1, list(two_gpus.current())))
    total, device = used(backend.asarray(np.ones(2)))
    assert device == [1]
    assert backend.to_numpy(total).tolist() == [2, 2]


def test_cupy_waits_for_the_device_that_computes(two_gpus):
    backend = backends.open_backend("cupy", device="cuda:1")
    product, one = backend.program(operator.matmul), backend.asarray(np.ones((1, 1)))
    other = backends.open_backend("cupy", device="cuda:0")
    result = product(one, one)
    assert two_gpus.busy == {0, 1}
    backend.synchronize(result)
    assert two_gpus.busy == {0}
    other.synchronize(result)
    product.compile(one, one)
    assert two_gpus.busy == set()


def test_functions_of_cupy_that_overlap_have_their_own_device(two_gpus):
    holders = [
        Inside(backends.open_backend("cupy", device=device).library_config, lambda: list(two_gpus.current()))
        for device in ("cuda:0", "cuda:1")
    ]
    assert two_gpus.current() == []
    for holder in holders:
        holder.leave()
    assert [holder.seen for holder in holders] == [[[0], []], [[1], []]]


@pytest.mark.cupy
def test_the_real_cupy_is_waited_for():
    """On a stream of the stand-in for CUDA nothing is done until somebody has waited."""
    cupy = import_or_skip("cupy")
    backend = open_or_skip("cupy")
    program = backend.program(lambda x: x + 1)
    x = backend.asarray(np.ones(10**6, np.float32))
    with backend.library_config():
        program.compile(x)
        assert cupy.cuda.get_current_stream().done
        y = program(x)
        backend.synchronize(y)
        assert cupy.cuda.get_current_stream().done


@pytest.mark.cupy
@pytest.mark.parametrize("precision", ["highest", "tf32"])
@pytest.mark.parametrize("variable", ["0", "1"])
def test_the_real_cupy_multiplies_in_the_precision_that_was_asked_for(precision, variable):
    """A factor of which TF32 keeps no more than the 1, in a product that is large enough for tensor cores."""
    import_or_skip("cupy")
    open_or_skip("cupy")
    code = f"""
import numpy as np, operator, os, ssnn
backend = ssnn.open_backend("cupy", precision={precision!r})
A, one = np.full((256, 256), 1 + 2**-12, np.float32), np.eye(256, dtype=np.float32)
product = backend.to_numpy(backend.program(operator.matmul)(*backend.to_device((A, one))))
print((product == A).all(), os.environ["CUPY_TF32"])
"""
    assert run_python(code, CUPY_TF32=variable) == f"{precision == 'highest'} {variable}"


@pytest.mark.cupy
def test_the_transfer_holds_little_more_than_the_batch(random):
    """Standardising kernel by kernel needs temporaries: of a block, and not of the whole batch."""
    cupy = import_or_skip("cupy")
    backend = open_or_skip("cupy")
    m = 20 * MAX_STANDARDIZED
    samples = Rows(random.integers(0, 256, (m, 40), np.uint8), np.ones(m, np.uint8))
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    network = initial_network((40, 2, 1), 0)
    batch = batch_to_device(backend, fit_pixels(samples.pixels), samples, network, Stopwatch())
    assert batch.X.nbytes == 4 * 40 * m
    assert pool.total_bytes() - before < 1.5 * batch.X.nbytes


KERNELS = """
from contextlib import contextmanager
from cupy.cuda import compiler
import ssnn
from ssnn.system.stopwatch import Stopwatch
from ssnn.training import trainer

compiled, phases = set(), ["none"]
compile_kernel = compiler._compile_module_with_cache

def counted(*arguments, **options):
    compiled.add(phases[-1])
    return compile_kernel(*arguments, **options)

class Watch(Stopwatch):
    @contextmanager
    def measure(self, phase):
        phases.append(phase)
        with super().measure(phase):
            yield
        phases.pop()

digits, backend = ssnn.load_data("synthetic"), ssnn.open_backend("cupy")
compiler._compile_module_with_cache, trainer.Stopwatch = counted, Watch
ssnn.fit(digits, backend, ssnn.Settings(SETTINGS))
print(sorted(compiled))
"""


@pytest.mark.cupy
@pytest.mark.parametrize(
    "settings",
    [
        "iterations=2",
        "iterations=200",
        "iterations=2, batch_size=1000",
        "iterations=1, batch_size=84, optimizer='adam'",
    ],
)
def test_kernels_are_compiled_in_the_phase_that_says_so(settings):
    import_or_skip("cupy")
    open_or_skip("cupy")
    assert run_python(KERNELS.replace("SETTINGS", settings)) == "['compile']"
