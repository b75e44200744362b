import contextlib
import os
import re
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from overlap import Inside
from support import import_or_skip, open_or_skip, run_python

from ssnn import backends
from ssnn.initialization import initial_network
from ssnn.network import update
from ssnn.standardize import fit_pixels
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.loop import Loop


@pytest.mark.jax
def test_a_second_call_of_the_compiled_loop_does_not_compile_again(few_digits):
    import_or_skip("jax")
    backend = open_or_skip("jax")
    standardization = fit_pixels(few_digits.train.pixels)
    start = initial_network((784, 10, 1), 0, standardization.features)
    batch = batch_to_device(backend, standardization, few_digits.train, start, Stopwatch())
    loop = Loop(backend, batch, 0.5, Stopwatch())
    state = loop.begin(backend.to_device(start))
    with compilations() as compiled:
        loop.compile(state, 3)
        assert len(compiled) == 1
        state, _ = loop.run(state, 3)
        loop.run(state, 3)
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
print(backend.program(jnp.sum)(x).dtype, backend.to_numpy(backend.program(jnp.sum)(x)) - 1 > 0)
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
    code = "import ssnn; print([(a.usable, a.reason) for a in ssnn.available_backends() if a.name == 'jax'])"
    assert run_python(code, JAX_PLATFORMS=platform) == "[(False, 'it finds no device')]"


OPEN_JAX = """
import os, ssnn
try:
    print(ssnn.open_backend("jax").describe().threads)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.jax
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("NPROC", "abc", "NPROC is 'abc', which is no number of threads"),
        ("NPROC", "0", "NPROC is '0', which is no number of threads"),
        ("NPROC", "2,1", "NPROC is '2,1', which is no number of threads"),
        ("NPROC", "9" * 5000, "NPROC is "),
        ("JAX_ENABLE_X64", "maybe", "jax fails: .*'maybe'"),
        ("JAX_NUM_CPU_DEVICES", "x", 'jax fails: .*"x"'),
        ("JAX_NUM_CPU_DEVICES", "0", "it finds no device"),
        ("JAX_PLATFORMS", "nonsense", "it finds no device"),
        ("XLA_FLAGS", "--nonsense", "it does not take XLA_FLAGS: .*--nonsense"),
        ("XLA_FLAGS", "nonsense", "it does not take XLA_FLAGS: .*nonsense"),
        ("XLA_FLAGS", "--xla_force_host_platform_device_count=abc", "it does not take XLA_FLAGS: .*abc"),
    ],
)
def test_a_variable_that_jax_cannot_take_is_named_in_one_line(variable, value, reason):
    import_or_skip("jax")
    told = run_python(OPEN_JAX, **{variable: value})
    assert re.fullmatch(f"BackendError: .* cannot run here: {reason}.*; what would help: {variable} .*", told)
    assert not re.search(r": [EF]\d{4} ", told)  # severity, date and place in the log of XLA
    assert len(told) < 400


@pytest.mark.jax
@pytest.mark.parametrize(("found", "threads"), [("", "1"), ("2", "1"), ("2", "2"), ("1", "None")])
def test_what_jax_reads_once_from_the_environment_is_as_it_was_afterwards(found, threads):
    import_or_skip("jax")
    code = f"""
import os, ssnn, threading
if not os.environ["NPROC"]:
    del os.environ["NPROC"]
before = os.environ.get("NPROC")
backend = ssnn.open_backend("jax", device="cpu", threads={threads})
assert os.environ.get("NPROC") == before
again = ssnn.open_backend("jax", device="cpu", threads=backend.describe().threads)
print(backend.describe().threads, again.describe().threads, again.describe().device)
"""
    expected = found if threads == "None" else threads
    device = "cpu" if expected == "1" else "cpu.*"
    assert re.fullmatch(f"{expected} {expected} {device}", run_python(code, NPROC=found))


@pytest.mark.jax
def test_threads_of_jax_that_cannot_start_are_told_before_it_ends_the_process():
    import_or_skip("jax")
    refused = """
import threading
def refused(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refused
"""
    assert re.fullmatch(r"BackendError: .*can't start new thread: .*\(.*--threads 1\)", run_python(refused + OPEN_JAX))


def settings(jax):
    return jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision


@pytest.mark.jax
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_functions_of_jax_that_overlap_have_their_own_settings_and_leave_the_usual_ones(order):
    jax = import_or_skip("jax")
    opened = open_or_skip("jax", dtype="float64"), open_or_skip("jax", dtype="float32")
    opened[1].precision = "tf32"  # as it would be on a GPU
    usual = settings(jax)
    holders = [Inside(backend.library_config, lambda: settings(jax)) for backend in opened]
    assert settings(jax) == usual
    for index in order:
        holders[index].leave()
    assert [holder.seen for holder in holders] == [[(True, "highest"), usual], [(False, "tensorfloat32"), usual]]


@pytest.mark.jax
@pytest.mark.parametrize(("precision", "expected"), [("highest", "HIGHEST"), ("tf32", "HIGH")])
def test_the_loop_becomes_a_program_for_cuda_whose_products_have_the_precision_that_was_asked_for(
    few_digits, precision, expected
):
    """JAX writes that program without a GPU; on one, DEFAULT would be TF32 as HIGH is."""
    import_or_skip("jax")
    from jax import export

    backend = open_or_skip("jax")
    backend.precision = precision
    standardization = fit_pixels(few_digits.train.pixels)
    start = initial_network((784, 10, 5, 1), 0, standardization.features)
    batch = batch_to_device(backend, standardization, few_digits.train, start, Stopwatch())
    program = backend.loop(batch.gradients, update, 3, batch.accumulation)
    arguments = backend.to_device(start), batch.X, batch.Y, batch.sample_weight, 0.5
    if backend._mesh.size > 1:
        arguments = program._replicated(*arguments)
    with program.config():
        text = export.export(program.function, platforms=("cuda",))(*arguments).mlir_module()
    products = re.findall(r"stablehlo\.dot_general.*", text)
    assert len(products) == 3 * 3 - 1  # forward, and backwards the weights' gradients and all layers' but the first's
    assert all(f"precision = [{expected}, {expected}]" in product for product in products)


@pytest.mark.jax
def test_devices_add_up_their_gradients_once_per_iteration_and_gather_nothing():
    """In a process of its own, since a process takes its cores as devices once; read from the compiled program."""
    import_or_skip("jax")
    code = """
import ssnn, re
from ssnn.standardize import fit_pixels
from ssnn.initialization import initial_network
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import batch_to_device
from ssnn.training.loop import Loop
import os; os.sched_getaffinity = lambda _: {0, 1}
digits, backend = ssnn.load_data("synthetic"), ssnn.open_backend("jax", device="cpu")
standardization = fit_pixels(digits.train.pixels)
start = initial_network((784, 10, 1), 0, standardization.features)
batch = batch_to_device(backend, standardization, digits.train, start, Stopwatch())
loop = Loop(backend, batch, 0.5, Stopwatch())
state = loop.begin(backend.to_device(start))
program = loop.compile(state, 5)
with backend.library_config():
    arguments = program._replicated(state, batch.X, batch.Y, batch.sample_weight, 0.5)
    text = program.function.lower(*arguments).compile().as_text()
print(backend.describe().device, *(len(re.findall(rf" {name}[(-]", text)) for name in ("all-reduce", "all-gather")))
"""
    assert run_python(code) == "cpu (2 devices) 1 0"


@pytest.mark.jax
@pytest.mark.parametrize(
    ("before", "environment", "device"),
    [
        ("", {}, "cpu (2 devices)"),
        ("import jax; jax.devices()", {}, "cpu"),
        ("import jax; jax.config.update('jax_num_cpu_devices', 1)", {}, "cpu"),
        ("", {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}, "cpu"),
        ("", {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}, "cpu (2 devices)"),
    ],
)
def test_cores_become_devices_unless_jax_has_started_or_the_user_has_set_their_number(before, environment, device):
    import_or_skip("jax")
    opened = "ssnn.open_backend('jax', device='cpu').describe().device"
    code = f"import os, ssnn; os.sched_getaffinity = lambda _: {{0, 1}}\n{before}\nprint({opened})"
    assert run_python(code, **environment) == device


@pytest.mark.jax
@pytest.mark.parametrize(
    ("plugins", "reason"), [(None, "jax is installed without CUDA"), (object(), "no CUDA device is")]
)
def test_what_keeps_jax_on_the_cpu_is_told(monkeypatch, plugins, reason):
    if open_or_skip("jax").device != "cpu":
        pytest.skip("there is a device")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: plugins)
    (told,) = (found for found in backends.available_backends() if found.name == "jax")
    assert f"on the CPU only: {reason}" in told.reason


@pytest.mark.jax
def test_a_gpu_of_jax_is_given_one_microbatch_and_has_no_threads_of_ours(monkeypatch):
    backend = open_or_skip("jax", device="cpu")
    assert backend.accumulation(5000, 784, 7840).microbatch_size <= 1600
    monkeypatch.setattr(backend, "device", "cuda:0")
    monkeypatch.setattr(backend, "_jax_device", lambda: SimpleNamespace(device_kind="a GPU"))
    assert backend.accumulation(5000, 784, 7840).count(5000) == backend._mesh.size
    described = backend.describe()
    assert described.device.startswith("cuda:0 (a GPU")
    assert described.threads is None


@pytest.mark.jax
def test_arrays_are_brought_to_the_first_device_of_jax():
    jax = import_or_skip("jax")
    assert open_or_skip("jax", device="cpu").asarray(np.ones(3)).devices() == {jax.devices("cpu")[0]}


class Computing:
    """Stands for an array that is computed while `until_then` runs."""

    def __init__(self, until_then):
        self.until_then, self.is_computed = until_then, False

    def is_ready(self):
        return self.is_computed

    def block_until_ready(self):
        self.until_then()
        self.is_computed = True
        return self


@pytest.mark.jax
def test_ctrl_c_is_heard_while_jax_computes():
    backend, end = open_or_skip("jax"), threading.Event()

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        end.wait(60)

    array = Computing(interrupted)
    with pytest.raises(KeyboardInterrupt):
        backend.synchronize(array)
    assert not array.is_computed
    end.set()


@pytest.mark.jax
def test_what_goes_wrong_in_a_computation_of_jax_is_raised_where_it_is_waited_for():
    def out_of_memory():
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        open_or_skip("jax").synchronize(Computing(out_of_memory))


@pytest.mark.jax
def test_what_is_waited_for_is_computed():
    array = Computing(lambda: None)
    open_or_skip("jax").synchronize((array, array))
    assert array.is_computed


@pytest.mark.jax
def test_one_thread_is_one_device():
    import_or_skip("jax")
    code = "import ssnn; print(ssnn.open_backend('jax', device='cpu', threads=1).describe().device)"
    assert run_python(code, NPROC="") == "cpu"
