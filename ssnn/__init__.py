"""ssnn: the shallow neural network that everybody writes once to learn, on every array library, from one source.

    >>> import ssnn
    >>> digits = ssnn.load_data()
    >>> model = ssnn.fit(digits, backend="jax", settings=ssnn.Settings(hidden=(30,)))
    >>> model.evaluate(digits.test).error_rate
    >>> model.predict(digits.test.pixels[:5])
    >>> model.save("model.safetensors")
    >>> ssnn.load_model("model.safetensors").predict_proba(digits.test.pixels[:5])

Every function says what it takes and gives; nothing here is imported before it is used.
"""

import importlib
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "load_data": "ssnn.data:load",
    "fit": "ssnn.trainer:fit",
    "Settings": "ssnn.records:Settings",
    "available_backends": "ssnn.backends:available",
    "open_backend": "ssnn.backends:open_backend",
    "Digits": "ssnn.data:Digits",
    "Samples": "ssnn.data:Samples",
    "Model": "ssnn.model:Model",
    "Evaluation": "ssnn.evaluation:Evaluation",
    "load_model": "ssnn.model_file:load",
    "SsnnError": "ssnn.errors:SsnnError",
}
if find_spec("sklearn") is not None:  # what cannot be had is not offered
    _WHERE["ShallowNetworkClassifier"] = "ssnn.estimator:ShallowNetworkClassifier"
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name == "ShallowNetworkClassifier" and name not in _WHERE:
        raise ImportError("ssnn.ShallowNetworkClassifier needs scikit-learn: python -m pip install 'ssnn[sklearn]'")
    if name not in _WHERE:
        raise AttributeError(f"module 'ssnn' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
