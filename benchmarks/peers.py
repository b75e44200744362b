"""What people would otherwise use for the same work: the same network, data, start and descent in other libraries.

Each peer is written as a competent user of its library would write it. A library is imported only when one of its
peers is opened. `verify` holds a peer against NumPy float64: what does other work than ours has no time worth a word.
"""

import importlib
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_info

from benchmarks import article
from ssnn.backends.jax import JaxBackend
from ssnn.errors import BackendError, DisagreementError
from ssnn.network import Layer, Network
from ssnn.standardize import fit, standardize

INSTALL = 'pip install -e ".[peers]"'


class Peer(ABC):
    """Full-batch gradient descent on one network, in somebody else's library.

    X (m, n0) holds the inputs in `dtype`, one sample per row, y (m,) the classes in uint8, `network` the NumPy
    float64 weights to start from. On a machine with a GPU, a library that finds it uses it. `threads` is None where
    it is not known.
    """

    name: ClassVar[str]  # for people
    library: ClassVar[str]  # as imported
    dtype: ClassVar[str] = "float32"
    device: str = "cpu"
    threads: int | None = None

    def __init__(self, X: npt.NDArray[Any], y: npt.NDArray[np.uint8], network: Network, learning_rate: float) -> None:
        self.X = X
        self.y = y
        self.start = tuple(Layer(W.astype(self.dtype), b.astype(self.dtype)) for W, b in network)
        self.learning_rate = learning_rate

    @classmethod
    def load(cls) -> None:
        """Import the library; whatever is raised says why it cannot be used."""
        importlib.import_module(cls.library)

    @property
    def version(self) -> str:
        """Of the library, and of the one that computes for it."""
        return str(importlib.import_module(self.library).__version__)

    @abstractmethod
    def reset(self) -> None:
        """Go back to the initial weights."""

    @abstractmethod
    def run(self, k: int) -> list[float]:
        """Do k iterations to the end, and tell the cost of each before its update."""


class ArticlePeer(Peer):
    """The article's own functions, in float64 as there."""

    name = "article"
    library = "numpy"
    dtype = "float64"

    def __init__(self, *problem: Any) -> None:
        super().__init__(*problem)
        self.threads = _blas_threads()
        self.reset()

    def reset(self) -> None:
        (W1, b1), (W2, b2) = self.start
        self.parameters = W1, b1, W2, b2

    def run(self, k: int) -> list[float]:
        X, Y = self.X.T, self.y.reshape(1, -1)
        costs = []
        for _ in range(k):
            self.parameters, cost = article.iterate(self.parameters, X, Y, self.learning_rate)
            costs.append(cost)
        return costs


class SklearnPeer(Peer):
    """scikit-learn's MLPClassifier, held to plain gradient descent that never stops early."""

    name = "scikit-learn"
    library = "sklearn"

    def __init__(self, *problem: Any) -> None:
        super().__init__(*problem)
        from sklearn.neural_network import MLPClassifier

        self.threads = _blas_threads()
        self.model = MLPClassifier(
            hidden_layer_sizes=[len(layer.b) for layer in self.start[:-1]],
            solver="sgd",
            alpha=0,
            batch_size=len(self.X),
            learning_rate_init=self.learning_rate,
            shuffle=False,
            random_state=0,  # else the weights that `reset` replaces come from NumPy's global generator, and move it
            tol=0,
            warm_start=True,
            momentum=0,
            nesterovs_momentum=False,
            n_iter_no_change=np.inf,
        )
        self.run(1)  # only a fitted model has weights that can be set
        self.reset()

    def reset(self) -> None:
        self.model.coefs_ = [W.T.copy() for W, _ in self.start]
        self.model.intercepts_ = [b[:, 0].copy() for _, b in self.start]

    def run(self, k: int) -> list[float]:
        from sklearn.exceptions import ConvergenceWarning

        self.model.set_params(max_iter=k)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # after k iterations, which is what is wanted
            self.model.fit(self.X, self.y)
        return [float(cost) for cost in self.model.loss_curve_[-k:]]


class TorchPeer(Peer):
    """PyTorch's modules, autograd and optimizer."""

    name = "PyTorch"
    library = "torch"

    def __init__(self, *problem: Any) -> None:
        super().__init__(*problem)
        import torch
        from torch import nn

        device = "cpu"
        if torch.cuda.is_available():
            device = "cuda:0"
            self.device = f"{device} ({torch.cuda.get_device_name(device)})"
        else:
            self.threads = torch.get_num_threads()
        self.inputs = torch.tensor(self.X, device=device)
        self.classes = torch.tensor(self.y[:, None], dtype=torch.float32, device=device)
        modules: list[nn.Module] = []
        for W, _ in self.start:
            n_out, n_in = W.shape
            # Drawing weights that `reset` replaces would move PyTorch's global generator.
            modules += [nn.utils.skip_init(nn.Linear, n_in, n_out, device=device), nn.ReLU()]
        self.model = nn.Sequential(*modules[:-1])
        self.criterion = nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=self.learning_rate)
        self.reset()

    def reset(self) -> None:
        import torch

        with torch.no_grad():
            for linear, (W, b) in zip(self.model[::2], self.start, strict=True):
                linear.weight.copy_(torch.from_numpy(W))
                linear.bias.copy_(torch.from_numpy(b[:, 0]))

    def loss(self, inputs: Any, classes: Any) -> Any:
        """The cost, on the device."""
        return self.criterion(self.model(inputs), classes)

    def run(self, k: int) -> list[float]:
        import torch

        costs = []
        for _ in range(k):
            self.optimizer.zero_grad()
            cost = self.loss(self.inputs, self.classes)
            cost.backward()
            self.optimizer.step()
            costs.append(cost.detach())
        return torch.stack(costs).tolist()  # a GPU comes to this after the last update


class CompiledTorchPeer(TorchPeer):
    """The same with forward and backward pass compiled."""

    name = "PyTorch, torch.compile"

    def __init__(self, *problem: Any) -> None:
        super().__init__(*problem)
        import torch

        # dynamic: else a second number of samples makes it compile for any. fullgraph: else what it cannot compile,
        # it leaves as it is.
        self.loss = torch.compile(self.loss, dynamic=False, fullgraph=True)

    def run(self, k: int) -> list[float]:
        from torch._dynamo.exc import BackendCompilerFailed, FailOnRecompileLimitHit

        try:
            return super().run(k)
        except BackendCompilerFailed as error:
            reason = str(error.inner_exception).splitlines()[0]
            raise _unusable(type(self), reason, "a C++ compiler, for instance g++") from error
        except FailOnRecompileLimitHit as error:
            reason = "PyTorch compiles no more networks of other sizes in this process"
            raise _unusable(type(self), reason, "a new process") from error


class JaxPeer(Peer):
    """What the libraries on top of JAX share."""

    def __init__(self, *problem: Any) -> None:
        super().__init__(*problem)
        import jax

        device = jax.devices()[0]
        if device.platform != "cpu":
            self.device = (
                f"{'cuda' if device.platform == 'gpu' else device.platform}:{device.id} ({device.device_kind})"
            )

    @classmethod
    def load(cls) -> None:
        super().load()
        if not JaxBackend.devices():
            raise _unusable(cls, "JAX finds no device", "JAX_PLATFORMS left unset, or naming a platform that is here")

    @property
    def version(self) -> str:
        import jax

        return f"{super().version} on JAX {jax.__version__}"

    @staticmethod
    def scope() -> Any:
        """Products in float32: by itself JAX rounds their factors to TF32 on a recent NVIDIA GPU."""
        import jax

        return jax.default_matmul_precision("highest")


class KerasPeer(JaxPeer):
    """Keras 3 on JAX: compile, then fit."""

    name = "Keras"
    library = "keras"

    def __init__(self, *problem: Any) -> None:
        super().__init__(*problem)
        import keras
        from keras import layers

        # zeros: drawing weights that `reset` replaces would move Python's global generator.
        options = {"kernel_initializer": "zeros", "dtype": self.dtype}
        hidden = [layers.Dense(len(b), activation="relu", **options) for _, b in self.start[:-1]]
        last = layers.Dense(1, **options)
        self.model = keras.Sequential([keras.Input((self.X.shape[1],), dtype=self.dtype), *hidden, last])
        self.model.compile(
            optimizer=keras.optimizers.SGD(self.learning_rate),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )
        self.classes = self.y[:, None].astype(self.dtype)
        self.reset()

    @classmethod
    def load(cls) -> None:
        with _keras_on_jax():
            super().load()
        import keras

        if keras.backend.backend() != "jax":
            reason = f"keras has been imported already, with backend {keras.backend.backend()!r}"
            raise _unusable(cls, reason, "a new process, or KERAS_BACKEND=jax")

    def reset(self) -> None:
        self.model.set_weights([parameters for W, b in self.start for parameters in (W.T, b[:, 0])])

    def run(self, k: int) -> list[float]:
        with self.scope():
            history = self.model.fit(
                self.X, self.classes, batch_size=len(self.X), epochs=k, shuffle=False, verbose=0
            ).history
        return [float(cost) for cost in history["loss"]]


class OptaxPeer(JaxPeer):
    """JAX's automatic differentiation with optax's optimizer and cost, one jitted step per iteration."""

    name = "JAX + optax"
    library = "optax"

    def __init__(self, *problem: Any) -> None:
        super().__init__(*problem)
        import jax
        import optax

        optimizer = optax.sgd(self.learning_rate)

        def loss(parameters: Any, inputs: Any, classes: Any) -> Any:
            *hidden, (W, b) = parameters
            for V, c in hidden:
                inputs = jax.nn.relu(inputs @ V + c)
            logits = (inputs @ W + b)[:, 0]
            return optax.sigmoid_binary_cross_entropy(logits, classes).mean()

        @jax.jit
        def step(parameters: Any, state: Any, inputs: Any, classes: Any) -> tuple[Any, Any, Any]:
            cost, gradient = jax.value_and_grad(loss)(parameters, inputs, classes)
            updates, state = optimizer.update(gradient, state, parameters)
            return optax.apply_updates(parameters, updates), state, cost

        self.optimizer = optimizer
        self.step = step
        self.inputs = jax.device_put(self.X)
        self.classes = jax.device_put(self.y.astype(self.dtype))
        self.reset()

    def reset(self) -> None:
        import jax

        self.parameters = jax.device_put([(W.T, b[:, 0]) for W, b in self.start])
        self.state = self.optimizer.init(self.parameters)

    def run(self, k: int) -> list[float]:
        import jax

        costs = []
        with self.scope():
            for _ in range(k):
                self.parameters, self.state, cost = self.step(self.parameters, self.state, self.inputs, self.classes)
                costs.append(cost)
        jax.block_until_ready(self.parameters)
        return [float(cost) for cost in jax.device_get(costs)]


PEERS: tuple[type[Peer], ...] = (ArticlePeer, SklearnPeer, TorchPeer, CompiledTorchPeer, KerasPeer, OptaxPeer)


def inputs(pixels: npt.NDArray[np.uint8], dtype: str) -> npt.NDArray[Any]:
    """All pixels (m, 784), standardised in float64 and rounded once; those that never vary are 0."""
    standardization = fit(pixels)
    X = np.zeros(pixels.shape, dtype)
    features = standardization.features
    X[:, features] = standardize(pixels, features, standardization.mean, standardization.std).T
    return X


def open_peer(
    peer_class: type[Peer],
    X: npt.NDArray[Any],
    y: npt.NDArray[np.uint8],
    network: Network,
    learning_rate: float,
) -> Peer:
    """A peer at its initial weights that has compiled whatever it compiles.

    Raises
    ------
    BackendError
        If its library is absent or cannot be used here.
    """
    try:
        peer_class.load()
    except BackendError:
        raise
    except Exception as error:  # somebody else's code, which may fail in any way
        raise _unusable(peer_class, " ".join(str(error).split()) or type(error).__name__) from error
    peer = peer_class(X, y, network, learning_rate)
    peer.run(1)
    peer.reset()
    return peer


def verify(peer: Peer, k: int, expected_costs: Sequence[float], tolerance: float) -> float:
    """Hold the costs of k iterations from the initial weights against those of NumPy float64.

    Parameters
    ----------
    peer : Peer
    k : int
    expected_costs : sequence of k floats
    tolerance : float
        Of the difference in any iteration, relative to the expected cost; see `ssnn.agreement.tolerance`.

    Returns
    -------
    float
        The largest relative difference.

    Raises
    ------
    DisagreementError
        If it exceeds the tolerance, or the peer has not done k iterations.
    """
    peer.reset()
    costs = np.asarray(peer.run(k), np.float64)
    if len(costs) != k:
        raise DisagreementError(f"{peer.name}: {len(costs)} costs, where {k} iterations were asked for")
    expected = np.asarray(expected_costs, np.float64)
    apart = np.abs(costs - expected) / np.abs(expected)
    worst = int(np.argmax(apart))  # the first NaN, if there is one
    if not apart[worst] <= tolerance:
        raise DisagreementError(
            f"{peer.name}: the cost of iteration {worst + 1} is {costs[worst]:.9g} and should be {expected[worst]:.9g}"
            f", {apart[worst]:.1e} apart, where {tolerance:.1e} is allowed"
        )
    return float(apart[worst])


@contextmanager
def _keras_on_jax() -> Iterator[None]:
    """Keras takes its backend from the environment once, when it is imported."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "jax"
    try:
        yield
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before


def _blas_threads() -> int | None:
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None)


def _unusable(peer_class: type[Peer], reason: str, remedy: str = INSTALL) -> BackendError:
    return BackendError(f"{peer_class.name} cannot run here: {reason}; what would help: {remedy}")
