"""Exported models in an ONNX Runtime that is too old to live beside ssnn: `nox -s onnx_oldest`.

`python tests/onnx_oldest.py export FOLDER` writes models and what they predict, `… check FOLDER` holds the
runtime that is installed to it.
"""

import sys
from pathlib import Path

import numpy as np


def export(folder: Path) -> None:
    import ssnn

    digits = ssnn.load_data("synthetic")
    for hidden in ((), (10,), (6, 4)):
        model = ssnn.fit(digits, settings=ssnn.Settings(hidden=hidden, iterations=60))
        path = folder / f"{'x'.join(map(str, hidden)) or 'none'}.onnx"
        ssnn.export_onnx(model, path)
        pixels = digits.test.pixels
        np.savez(path.with_suffix(".npz"), pixels, model.predict(pixels), model.predict_proba(pixels))


def check(folder: Path) -> None:
    import onnxruntime

    models = sorted(folder.glob("*.onnx"))
    assert len(models) == 3
    for path in models:
        with np.load(path.with_suffix(".npz")) as expected:
            pixels, digits, probabilities = expected.values()
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        outputs = session.run(["digits", "probabilities"], {"pixels": pixels})
        np.testing.assert_array_equal(outputs[0], digits)
        np.testing.assert_allclose(outputs[1], probabilities, rtol=0, atol=1e-12)
    print(f"{len(models)} models run in ONNX Runtime {onnxruntime.__version__} with NumPy {np.__version__}")


if __name__ == "__main__":
    {"export": export, "check": check}[sys.argv[1]](Path(sys.argv[2]))
