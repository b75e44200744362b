"""The author's dolphin in other libraries, each as its users write it.

    python -m benchmarks.dolphin LIBRARY FOLDER

trains on MNIST's four gzipped files in FOLDER and prints the test images that the network gets wrong. One pass in
mini-batches of 84, in the order of the file, with Adam, from the initial parameters of the article. Each library has
the settings that suit it best here: PyTorch one thread, Keras and JAX all batches of the pass in one call.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.article import initial, read_digits

HIDDEN = 10
BATCH_SIZE = 84
LEARNING_RATE = 0.01
BETAS = 0.9, 0.998
EPSILON = 1e-10
# Of scikit-learn and Keras, which leave the bias of √s uncorrected where they add ε: the same in the first update.
OTHER_EPSILON = EPSILON * (1 - BETAS[1]) ** 0.5

Array = npt.NDArray[Any]
Layers = list[tuple[Array, Array]]  # weights (inputs, outputs) and biases
Train = Callable[[Array, Array, Array, Layers], Array]  # of X and y of training, X of the test, and the start


def standardize(train: npt.NDArray[np.uint8], test: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    """Every pixel to mean 0 and standard deviation 1 over the training images, in float32."""
    mean, std = (values.astype(np.float32) for values in (np.mean(train, axis=0), np.std(train, axis=0) + 1e-10))
    return (train - mean) / std, (test - mean) / std


def train_sklearn(X: Array, y: Array, X_test: Array, start: Layers) -> Array:
    """Returns the classes of the test images."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop after one pass
    model = MLPClassifier(
        hidden_layer_sizes=[HIDDEN],
        solver="adam",
        alpha=0,
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        max_iter=1,
        shuffle=False,
        warm_start=True,
        beta_1=BETAS[0],
        beta_2=BETAS[1],
        epsilon=OTHER_EPSILON,
    )
    model.fit(X[:BATCH_SIZE], y[:BATCH_SIZE])  # only a fitted model has weights that can be set
    model.coefs_, model.intercepts_ = map(list, zip(*start, strict=True))
    model.fit(X, y)
    return model.predict(X_test)


def train_torch(X: Array, y: Array, X_test: Array, start: Layers) -> Array:
    """Returns the classes of the test images."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(X.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    with torch.no_grad():
        for layer, (W, b) in zip(model[::2], start, strict=True):
            layer.weight.copy_(torch.from_numpy(W.T))
            layer.bias.copy_(torch.from_numpy(b))
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, BETAS, EPSILON)
    inputs, classes = torch.from_numpy(X), torch.from_numpy(y[:, None].astype(np.float32))
    for some, their in zip(inputs.split(BATCH_SIZE), classes.split(BATCH_SIZE), strict=True):
        optimizer.zero_grad()
        criterion(model(some), their).backward()
        optimizer.step()
    with torch.no_grad():
        return (model(torch.from_numpy(X_test)) > 0).numpy()[:, 0]


def train_keras(X: Array, y: Array, X_test: Array, start: Layers) -> Array:
    """Returns the classes of the test images."""
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    model = keras.Sequential(
        [keras.Input((X.shape[1],)), keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(1)]
    )
    model.set_weights([parameters for layer in start for parameters in layer])
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE, *BETAS, OTHER_EPSILON),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        steps_per_execution=-(-len(X) // BATCH_SIZE),
    )
    model.fit(X, y[:, None], batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    return model.predict(X_test, batch_size=len(X_test), verbose=0)[:, 0] > 0


def train_optax(X: Array, y: Array, X_test: Array, start: Layers) -> Array:
    """Returns the classes of the test images."""
    import jax
    import optax

    optimizer = optax.adam(LEARNING_RATE, *BETAS, EPSILON)

    def logits(parameters: Any, inputs: Any) -> Any:
        (V, c), (W, b) = parameters
        return (jax.nn.relu(inputs @ V + c) @ W + b)[:, 0]

    def loss(parameters: Any, inputs: Any, classes: Any) -> Any:
        return optax.sigmoid_binary_cross_entropy(logits(parameters, inputs), classes).mean()

    def step(carry: Any, batch: Any) -> tuple[Any, None]:
        parameters, state = carry
        updates, state = optimizer.update(jax.grad(loss)(parameters, *batch), state)
        return (optax.apply_updates(parameters, updates), state), None

    @jax.jit
    def train(parameters: Any, batches: Any, last: Any) -> Any:
        carry, _ = jax.lax.scan(step, (parameters, optimizer.init(parameters)), batches)
        (parameters, _), _ = step(carry, last)
        return parameters

    count = (len(X) - 1) // BATCH_SIZE  # before the last batch, which may be shorter
    end, classes = count * BATCH_SIZE, y.astype(np.float32)
    batches = X[:end].reshape(count, BATCH_SIZE, -1), classes[:end].reshape(count, BATCH_SIZE)
    parameters = train(start, batches, (X[end:], classes[end:]))
    return np.asarray(logits(parameters, X_test)) > 0


LIBRARIES: dict[str, Train] = {
    "sklearn": train_sklearn,
    "torch": train_torch,
    "keras": train_keras,
    "optax": train_optax,
}


def main(argv: list[str]) -> None:
    """Train, test, and print what the article prints of the test."""
    if len(argv) != 2 or argv[0] not in LIBRARIES:
        sys.exit(
            f"usage: python -m benchmarks.dolphin {{{','.join(LIBRARIES)}}} FOLDER   # of MNIST's four gzipped files"
        )
    (pixels, labels), (test_pixels, test_labels) = ((X.T, Y[0]) for X, Y in read_digits(Path(argv[1])))
    X, X_test = standardize(pixels, test_pixels)
    W1, b1, W2, b2 = (parameters.T.astype(np.float32, order="C") for parameters in initial(HIDDEN, X.shape[1]))
    predicted = LIBRARIES[argv[0]](X, labels, X_test, [(W1, b1[0]), (W2, b2[0])])
    wrong = np.flatnonzero(predicted != test_labels)
    for index in wrong:
        print(f"failed to recognize: {index}")
    print(f"total test set:{test_labels.size},and err rate:{wrong.size / test_labels.size}")


if __name__ == "__main__":
    main(sys.argv[1:])
