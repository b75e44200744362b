import sys
from dataclasses import replace

import numpy as np
import pytest
from support import import_or_skip

from ssnn import backends
from ssnn.data import mnist
from ssnn.errors import SsnnError
from ssnn.model.onnx_export import export_onnx
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
    _check(
        runtime, mnist_model, mnist.load(data_dir, progressbar=False).test.pixels, tmp_path / "model.onnx", atol=1e-12
    )


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


def _check(runtime, model, pixels, path, atol):
    export_onnx(model, path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    digits, probabilities = session.run(["digits", "probabilities"], {"pixels": pixels})
    np.testing.assert_allclose(probabilities, model.predict_proba(pixels), rtol=0, atol=atol)
    np.testing.assert_array_equal(digits, model.predict(pixels))
