"""The shallow neural network that everybody writes once to learn, on every array library, from one source.

    >>> import ssnn
    >>> digits = ssnn.load_data()
    >>> model = ssnn.fit(digits, progress=True)
    >>> model.evaluate(digits.test)
    >>> model.explain(digits, index=2031)
    >>> model.predict_proba(digits.test.pixels[:5])

Data
    load_data                 load MNIST, or other data that are there, or draw digits
    load_arrays               images and labels in memory, of two digits among any
    read_picture              a photograph or drawing of a digit in MNIST's form
    Dataset, Samples          training and test images of two digits; images with their classes

Training
    fit                       train a network; returns a TrainedModel
    Settings                  hyperparameters: hidden layers, learning rate, iterations, seed
    available_backends        which array libraries can be used on this machine, and on which devices
    open_backend              open one of them with a device, a dtype, a precision and a number of threads

What comes out
    Model                     a trained network: predict, predict_proba, evaluate, explain, novelty_score
    TrainedModel              a Model with the scores and times of its run
    Evaluation                error rate with its interval, confusion matrix, log loss, Brier score
    save_model, load_model    to and from a safetensors file
    export_onnx               to an ONNX file, for other programs

Besides
    ShallowNetworkClassifier  a classifier for scikit-learn, offered where scikit-learn is installed
    SsnnError                 what every error of this package is

Each name is imported at its first use. The commands are listed by `ssnn --help`.
"""

import importlib
from importlib.util import find_spec

from ssnn.version import __version__ as __version__

TYPE_CHECKING = False  # type checkers take it for true, and `typing`, where it comes from, is slow to import
if TYPE_CHECKING:
    from ssnn.backends import available_backends as available_backends
    from ssnn.backends import open_backend as open_backend
    from ssnn.data import Dataset as Dataset
    from ssnn.data import Samples as Samples
    from ssnn.data import load_arrays as load_arrays
    from ssnn.data import load_data as load_data
    from ssnn.data import pictures as _pictures
    from ssnn.errors import SsnnError as SsnnError
    from ssnn.estimator import ShallowNetworkClassifier as ShallowNetworkClassifier
    from ssnn.model.metrics import Evaluation as Evaluation
    from ssnn.model.model import Model as Model
    from ssnn.model.model import TrainedModel as TrainedModel
    from ssnn.model.onnx_export import export_onnx as export_onnx
    from ssnn.model.serialization import load_model as load_model
    from ssnn.model.serialization import save_model as save_model
    from ssnn.settings import Settings as Settings
    from ssnn.training.trainer import fit as fit

    read_picture = _pictures.read

_PLACES = {
    "load_data": "ssnn.data:load_data",
    "load_arrays": "ssnn.data:load_arrays",
    "read_picture": "ssnn.data.pictures:read",
    "fit": "ssnn.training.trainer:fit",
    "Settings": "ssnn.settings:Settings",
    "available_backends": "ssnn.backends:available_backends",
    "open_backend": "ssnn.backends:open_backend",
    "Dataset": "ssnn.data:Dataset",
    "Samples": "ssnn.data:Samples",
    "Model": "ssnn.model.model:Model",
    "TrainedModel": "ssnn.model.model:TrainedModel",
    "Evaluation": "ssnn.model.metrics:Evaluation",
    "save_model": "ssnn.model.serialization:save_model",
    "load_model": "ssnn.model.serialization:load_model",
    "export_onnx": "ssnn.model.onnx_export:export_onnx",
    "SsnnError": "ssnn.errors:SsnnError",
}
if find_spec("sklearn") is not None:  # without it the name is not offered
    _PLACES["ShallowNetworkClassifier"] = "ssnn.estimator:ShallowNetworkClassifier"
__all__ = list(_PLACES)


if not TYPE_CHECKING:  # a type checker would take every unknown name for Any

    def __getattr__(name: str) -> object:
        if name == "ShallowNetworkClassifier" and name not in _PLACES:
            raise ImportError("ssnn.ShallowNetworkClassifier needs scikit-learn: python -m pip install 'ssnn[sklearn]'")
        if name not in _PLACES:
            raise AttributeError(f"module 'ssnn' has no attribute {name!r}")
        module, _, attribute = _PLACES[name].partition(":")
        value = globals()[name] = getattr(importlib.import_module(module), attribute)
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
