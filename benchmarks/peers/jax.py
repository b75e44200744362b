"""Libraries on top of JAX: Keras, and optax."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers.peer import Peer, Problem, adam_epsilon, unusable
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
        if not JaxBackend.probe().devices:  # JAX starts with the threads and devices that it has for ours
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
    cost_per_pass = True

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        import keras
        from keras import layers

        # zeros: `reset` sets the parameters; drawing them would advance Python's global generator.
        options = {"kernel_initializer": "zeros", "dtype": self.dtype}
        hidden = [layers.Dense(len(b), activation="relu", **options) for _, b in self.start[:-1]]
        last = layers.Dense(1, **options)
        self.model = keras.Sequential([keras.Input((self.X.shape[1],), dtype=self.dtype), *hidden, last])
        settings = self.settings
        optimizer = keras.optimizers.SGD(settings.learning_rate)
        if settings.optimizer == "adam":
            optimizer = keras.optimizers.Adam(
                settings.learning_rate, settings.beta_1, settings.beta_2, adam_epsilon(settings)
            )
        self.model.compile(
            optimizer=optimizer,
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            # All batches of a pass: returning to Keras after each would take longer than the batch does.
            steps_per_execution=settings.updates_per_iteration(len(self.X)),
        )
        optimizer.build(self.model.trainable_variables)
        self.fresh = [np.array(variable.value) for variable in optimizer.variables]
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
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    def run(self, k: int) -> list[float]:
        with self.config():
            history = self.model.fit(
                self.X, self.classes, batch_size=self.batch_size, epochs=k, shuffle=False, verbose=0
            ).history
        return [float(cost) for cost in history["loss"]]

    def parameters(self) -> list[npt.NDArray[Any]]:
        return [np.array(variable.value) for variable in self.model.weights]


class OptaxPeer(JaxPeer):
    """JAX's automatic differentiation with optax's optimizer and cost, one jitted scan over the batches of a pass."""

    name = "JAX + optax"
    library = "optax"
    dtypes = ("float32", "float64")

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        import jax
        import optax

        settings = self.settings
        optimizer = optax.sgd(settings.learning_rate)
        if settings.optimizer == "adam":
            optimizer = optax.adam(settings.learning_rate, settings.beta_1, settings.beta_2, settings.epsilon)

        def loss(parameters: Any, inputs: Any, classes: Any) -> Any:
            *hidden, (W, b) = parameters
            for V, c in hidden:
                inputs = jax.nn.relu(inputs @ V + c)
            logits = (inputs @ W + b)[:, 0]
            return optax.sigmoid_binary_cross_entropy(logits, classes).mean()

        def step(carry: Any, batch: Any) -> tuple[Any, Any]:
            parameters, state = carry
            cost, gradient = jax.value_and_grad(loss)(parameters, *batch)
            updates, state = optimizer.update(gradient, state, parameters)
            return (optax.apply_updates(parameters, updates), state), cost

        @jax.jit
        def one_pass(carry: Any, batches: Any, last: Any) -> tuple[Any, Any]:
            carry, costs = jax.lax.scan(step, carry, batches)
            carry, cost = step(carry, last)
            return carry, jax.numpy.append(costs, cost)

        self.optimizer = optimizer
        self.one_pass = one_pass
        count = settings.updates_per_iteration(len(self.X)) - 1  # of batches before the last one, which may be shorter
        end = count * self.batch_size
        classes = self.y.astype(self.dtype)
        batches = [each[:end].reshape(count, self.batch_size, *each.shape[1:]) for each in (self.X, classes)]
        with self.config():
            self.batches = jax.device_put((batches, [self.X[end:], classes[end:]]))
        self.reset()

    def reset(self) -> None:
        import jax

        with self.config():
            parameters = jax.device_put([(W.T, b[:, 0]) for W, b in self.start])
            self.carry = parameters, self.optimizer.init(parameters)

    def run(self, k: int) -> list[float]:
        import jax

        costs = []
        with self.config():
            for _ in range(k):
                self.carry, some = self.one_pass(self.carry, *self.batches)
                costs.append(some)
        jax.block_until_ready(self.carry)
        return [float(cost) for some in jax.device_get(costs) for cost in some]

    def parameters(self) -> list[npt.NDArray[Any]]:
        layers, _ = self.carry
        return [np.asarray(parameters) for layer in layers for parameters in layer]


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
