"""Libraries on top of JAX: Keras, and optax."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peers.peer import Peer, Problem, unusable
from ssnn.backends.jax import JaxBackend


class JaxPeer(Peer):
    """What the libraries on top of JAX share."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
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
            raise unusable(cls, "JAX finds no device", "JAX_PLATFORMS left unset, or naming a platform that is here")

    @property
    def version(self) -> str:
        import jax

        return f"{super().version} on JAX {jax.__version__}"

    @contextmanager
    def config(self) -> Iterator[None]:
        """The settings of JAX for this dtype: on a recent NVIDIA GPU its products would be TF32 by default."""
        import jax

        with jax.enable_x64(self.dtype == "float64"), jax.default_matmul_precision("highest"):
            yield


class KerasPeer(JaxPeer):
    """Keras 3 on JAX: compile, then fit."""

    name = "Keras"
    library = "keras"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        import keras
        from keras import layers

        # zeros: `reset` sets the parameters; drawing them would advance Python's global generator.
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
            raise unusable(cls, reason, "a new process, or KERAS_BACKEND=jax")

    def reset(self) -> None:
        self.model.set_weights([parameters for W, b in self.start for parameters in (W.T, b[:, 0])])

    def run(self, k: int) -> list[float]:
        with self.config():
            history = self.model.fit(
                self.X, self.classes, batch_size=len(self.X), epochs=k, shuffle=False, verbose=0
            ).history
        return [float(cost) for cost in history["loss"]]


class OptaxPeer(JaxPeer):
    """JAX's automatic differentiation with optax's optimizer and cost, one jitted step per iteration."""

    name = "JAX + optax"
    library = "optax"
    dtypes = ("float32", "float64")

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
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
        with self.config():
            self.inputs = jax.device_put(self.X)
            self.classes = jax.device_put(self.y.astype(self.dtype))
        self.reset()

    def reset(self) -> None:
        import jax

        with self.config():
            self.parameters = jax.device_put([(W.T, b[:, 0]) for W, b in self.start])
            self.state = self.optimizer.init(self.parameters)

    def run(self, k: int) -> list[float]:
        import jax

        costs = []
        with self.config():
            for _ in range(k):
                self.parameters, self.state, cost = self.step(self.parameters, self.state, self.inputs, self.classes)
                costs.append(cost)
        jax.block_until_ready(self.parameters)
        return [float(cost) for cost in jax.device_get(costs)]


@contextmanager
def _keras_on_jax() -> Iterator[None]:
    """Keras reads its backend from the environment once, when it is imported."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "jax"
    try:
        yield
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
