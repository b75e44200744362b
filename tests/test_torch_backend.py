import contextlib
import threading
from itertools import permutations

import pytest
from overlap import Inside
from support import import_or_skip, open_or_skip

from ssnn import backends
from ssnn.backends import Accumulation
from ssnn.errors import BackendError
from ssnn.network import gradients, update
from ssnn.settings import Settings
from ssnn.training.trainer import fit

pytestmark = pytest.mark.torch


@pytest.fixture
def torch():
    return import_or_skip("torch")


@pytest.fixture
def backend(torch):
    return open_or_skip("torch", device="cpu")


def on_gpu(monkeypatch, backend, precision="highest"):
    """The backend as it would be on a GPU, for what it asks of PyTorch there."""
    monkeypatch.setattr(backend, "device", "cuda:1")
    monkeypatch.setattr(backend, "precision", precision)
    return backend


def in_a_new_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_threads_of_torch_are_held_only_while_it_computes_for_us(torch):
    before = torch.get_num_threads()
    backend = backends.open_backend("torch", device="cpu", threads=before + 1)
    assert backend.describe().threads == before + 1
    assert backend.program(torch.get_num_threads)() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("on_minibatches", [False, True])
def test_functions_of_torch_that_overlap_have_their_own_threads_and_leave_the_usual_ones(
    torch, backend, order, error, on_minibatches
):
    before = torch.get_num_threads()
    loop = backend.loop(gradients, update, 1, Accumulation(8)).config
    if on_minibatches:
        loop = backend.minibatch_loop(gradients, update, Accumulation(8)).config
    program = backends.open_backend("torch", device="cpu", threads=before + 1).library_config
    holders = [Inside(context, torch.get_num_threads) for context in (loop, program)]
    assert in_a_new_thread(backend._cpu_threads) == before
    for index in order:
        holders[index].leave(error)
    assert [holder.seen for holder in holders] == [[1, before], [before + 1, before]]
    assert torch.get_num_threads() == in_a_new_thread(torch.get_num_threads) == before


def product_precision(torch, device):
    return (torch.backends.mkldnn if device == "cpu" else torch.backends.cuda).matmul.fp32_precision


@contextlib.contextmanager
def general_precision(torch, value):
    """What a user may have set for all products of PyTorch."""
    torch.backends.fp32_precision = value
    yield
    torch.backends.fp32_precision = "none"


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [("cpu", "highest", "ieee"), ("cuda", "highest", "ieee"), ("cuda", "tf32", "tf32")],
)
def test_torch_multiplies_in_the_precision_that_was_asked_for(monkeypatch, torch, backend, device, precision, expected):
    if device == "cuda":
        on_gpu(monkeypatch, backend, precision)
    before = product_precision(torch, device)
    other = "ieee" if expected == "tf32" else "tf32"
    with general_precision(torch, other):
        loops = (
            backend.loop(gradients, update, 1, Accumulation(8)),
            backend.minibatch_loop(gradients, update, Accumulation(8)),
        )
        for context in (backend.library_config(), *(loop.config() for loop in loops)):
            with context:
                assert product_precision(torch, device) == expected
            assert product_precision(torch, device) == other
    assert product_precision(torch, device) == before


def test_the_precision_that_the_user_has_set_for_products_comes_back(torch, backend):
    torch.set_float32_matmul_precision("medium")
    found = product_precision(torch, "cpu")
    with backend.library_config():
        assert product_precision(torch, "cpu") == "ieee" != found
    assert (torch.get_float32_matmul_precision(), product_precision(torch, "cpu")) == ("medium", found)
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("precisions", [*permutations({"highest": "ieee", "tf32": "tf32"}.items())], ids=str)
def test_who_wants_another_precision_waits_until_the_first_is_done(monkeypatch, torch, precisions):
    (one, its), (another, other_s) = precisions
    first, second = (on_gpu(monkeypatch, open_or_skip("torch", device="cpu"), choice) for choice in (one, another))
    precision = lambda: product_precision(torch, "cuda")  # noqa: E731
    before, entered, found = precision(), threading.Event(), []

    def other():
        with second.library_config():
            found.append(precision())
            entered.set()

    holder, waiting = Inside(first.library_config), threading.Thread(target=other)
    Inside(first.library_config).leave()  # who wants the same does not wait
    waiting.start()
    assert not entered.wait(0.2)
    assert precision() == its
    holder.leave()
    waiting.join()
    assert found == [other_s]
    assert precision() == before


@pytest.mark.parametrize(("samples", "microbatches"), [(1, 1), (3200, 2), (3201, 4), (12_665, 8)])
def test_torch_shares_out_microbatches_on_the_cpu_and_fills_a_gpu_with_one(monkeypatch, torch, samples, microbatches):
    backend = open_or_skip("torch", device="cpu", threads=2)
    split = backend.accumulation(samples, 784, 7840)
    assert (split.count(samples), split.threads, split.raw_pixels) == (microbatches, 2, False)
    on_gpu(monkeypatch, backend)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * 4 * samples * 784, None))
    assert backend.accumulation(samples, 784, 7840) == Accumulation(samples, raw_pixels=False)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * 4 * samples * 784 - 1, None))
    assert backend.accumulation(samples, 784, 7840) == Accumulation(samples, raw_pixels=True)


def test_samples_standardised_by_torch_are_kept_up_to_half_a_gibibyte(backend):
    largest = 2**29 // 4 // 512
    assert not backend.accumulation(largest, 512, 5120).raw_pixels
    assert backend.accumulation(largest + 1, 512, 5120).raw_pixels


def test_torch_waits_for_the_device_that_computes(monkeypatch, torch, backend):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    backend.synchronize(())
    assert waited == []
    on_gpu(monkeypatch, backend).synchronize(())
    assert waited == ["cuda:1"]


def test_threads_of_torch_that_cannot_start_are_told(monkeypatch, few_digits):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    fit(few_digits, open_or_skip("torch", device="cpu", threads=1), Settings(iterations=2))
    with pytest.raises(BackendError, match=r"can't start new thread: .* 2 more; what would help: .*\(--threads 1\)$"):
        backends.open_backend("torch", device="cpu", threads=2)
