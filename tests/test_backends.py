import pytest
from support import BACKENDS, open_or_skip, run_python

from ssnn import backends
from ssnn.backends import DTYPES
from ssnn.errors import BackendError
from ssnn.testing import CHECKS


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
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_our_backends_keep_the_contract(name, dtype, check):
    check(open_or_skip(name, dtype=dtype))


HEAVY = {"cupy", "jax", "torch", "array_api_strict"}


LOADED = f"; import sys; print(sorted({HEAVY} & set(sys.modules)))"


def test_importing_ssnn_imports_no_backend_s_library_and_changes_no_setting():
    code = (
        "import os, warnings, numpy as np; before = dict(os.environ), np.geterr(), list(warnings.filters)\n"
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
