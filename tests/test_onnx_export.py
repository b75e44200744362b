import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support import import_or_skip

from ssnn import backends
from ssnn.data import folder
from ssnn.errors import SsnnError
from ssnn.model import onnx_export
from ssnn.model.onnx_export import export_onnx
from ssnn.model.serialization import save_model
from ssnn.settings import Settings
from ssnn.training.trainer import fit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden", [(), (10,), (6, 4)])
def test_onnxruntime_gives_the_same_probabilities(few_digits, tmp_path, dtype, hidden):
    import_or_skip("onnx")
    runtime = import_or_skip("onnxruntime")
    model = fit(few_digits, backends.open_backend("numpy", dtype=dtype), Settings(hidden=hidden, iterations=30))
    _check(runtime, model, few_digits.test.pixels, tmp_path / "model.onnx", atol=1e-12)


def test_so_it_does_on_every_digit_of_mnist(data_dir, mnist_model, tmp_path):
    import_or_skip("onnx")
    runtime = import_or_skip("onnxruntime")
    _check(runtime, mnist_model, folder.choose(data_dir).read()[1].pixels, tmp_path / "model.onnx", atol=1e-12)


def test_the_article_s_standardisation_survives(mnist_digits, tmp_path):
    """Image 1749 lights a pixel that never varied: its input is about 1e11, and its logit 2.7e8."""
    import_or_skip("onnx")
    runtime = import_or_skip("onnxruntime")
    model = fit(
        mnist_digits,
        backends.open_backend("numpy", dtype="float64"),
        Settings(constant_features="keep", iterations=30),
    )
    _check(runtime, model, mnist_digits.test.pixels[1700:1800], tmp_path / "model.onnx", atol=1e-12)


def test_other_digits_keep_their_names(few_digits, tmp_path):
    import_or_skip("onnx")
    runtime = import_or_skip("onnxruntime")
    model = fit(replace(few_digits, classes=(7, 3)), settings=Settings(iterations=30))
    _check(runtime, model, few_digits.test.pixels, tmp_path / "model.onnx", atol=1e-12)


def test_without_onnx_the_extra_is_named(few_digits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SsnnError, match=r"not installed; what would help: python -m pip install 'ssnn\[onnx\]'"):
        export_onnx(fit(few_digits, settings=Settings(iterations=1)), tmp_path / "model.onnx")
    assert not list(tmp_path.glob("*"))


def test_a_model_too_large_for_onnx_is_refused(few_digits, tmp_path, monkeypatch):
    model = fit(few_digits, settings=Settings(hidden=(), iterations=1))
    import_or_skip("onnx")
    bytes_needed = 8 * (len(model.standardization.features) + 1)
    monkeypatch.setattr(onnx_export, "MAX_BYTES", bytes_needed)
    export_onnx(model, tmp_path / "model.onnx")
    before = (tmp_path / "model.onnx").read_bytes()
    monkeypatch.setattr(onnx_export, "MAX_BYTES", bytes_needed - 1)
    with pytest.raises(SsnnError, match=r"model\.onnx not written: the model takes 0\.0 GB, and an ONNX file holds 2"):
        export_onnx(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == before


def test_the_same_model_gives_the_same_bytes(few_digits, tmp_path):
    import_or_skip("onnx")
    save_model(fit(few_digits, settings=Settings(iterations=1)), tmp_path / "model")
    program = "import sys, ssnn; from ssnn.model.onnx_export import export_onnx\n"
    program += "export_onnx(ssnn.load_model(sys.argv[1]), sys.argv[2])"
    for seed in "1", "2":
        command = [sys.executable, "-c", program, tmp_path / "model", tmp_path / seed]
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, check=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def _check(runtime, model, pixels, path, atol):
    export_onnx(model, path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    digits, probabilities = session.run(["digits", "probabilities"], {"pixels": pixels})
    np.testing.assert_allclose(probabilities, model.predict_proba(pixels), rtol=0, atol=atol)
    np.testing.assert_array_equal(digits, model.predict(pixels))
