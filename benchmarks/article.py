"""The 2024 article's program in our own words: what a reader of it has, and what ssnn is measured against.

    python benchmarks/article.py FOLDER

trains on MNIST's four gzipped files in FOLDER and prints the article's lines. Plain NumPy in float64 and nothing of
ssnn. The formulas stand as the article has them, and nothing is arranged to be faster or safer than they are.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Parameters = tuple[Array, Array, Array, Array]  # W1, b1, W2, b2

HIDDEN = 10
LEARNING_RATE = 0.5
ITERATIONS = 500


def read_digits(folder: Path) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """The zeros and ones of training and test: X (784, m), one image per column, and Y (1, m)."""
    parts = []
    for part in ("train", "t10k"):
        images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        X = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28 * 28)
        Y = np.frombuffer(labels, np.uint8, offset=8)
        wanted = Y <= 1
        parts.append((X[wanted].T, Y[wanted].reshape(1, -1)))
    return parts


def standardize(X_train: npt.NDArray[np.uint8], X_test: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    """Every pixel to mean 0 and standard deviation 1 over the training images; 1e-9 is there for constant ones."""
    mean = np.mean(X_train, axis=1, keepdims=True)
    std = np.std(X_train, axis=1, keepdims=True) + 1e-9
    return (X_train - mean) / std, (X_test - mean) / std


def initial(hidden: int, n0: int, seed: int = 561) -> Parameters:
    """What training starts from."""
    generator = np.random.RandomState(seed)
    W1 = generator.randn(hidden, n0) * 0.01
    W2 = generator.randn(1, hidden) * 0.01
    return W1, np.zeros((hidden, 1)), W2, np.zeros((1, 1))


def forward(parameters: Parameters, X: Array) -> tuple[Array, Array, Array]:
    """Z1 and A1 of the hidden layer, and the probability A2 of a 1."""
    W1, b1, W2, b2 = parameters
    Z1 = W1 @ X + b1
    A1 = np.maximum(Z1, 0)
    Z2 = W2 @ A1 + b2
    A2 = 1 / (1 + np.exp(-Z2))
    return Z1, A1, A2


def iterate(parameters: Parameters, X: Array, Y: npt.NDArray, learning_rate: float) -> tuple[Parameters, float]:
    """One iteration of gradient descent, and the cost before it."""
    W1, b1, W2, b2 = parameters
    m = X.shape[1]
    Z1, A1, A2 = forward(parameters, X)
    J = -np.mean(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))
    dZ2 = (A2 - Y) / m
    dW2 = dZ2 @ A1.T
    db2 = np.sum(dZ2, axis=1, keepdims=True)
    dZ1 = (W2.T @ dZ2) * (Z1 > 0)
    dW1 = dZ1 @ X.T
    db1 = np.sum(dZ1, axis=1, keepdims=True)
    W1 = W1 - learning_rate * dW1
    b1 = b1 - learning_rate * db1
    W2 = W2 - learning_rate * dW2
    b2 = b2 - learning_rate * db2
    return (W1, b1, W2, b2), float(J)


def main(argv: list[str]) -> None:
    """Train, test, and print what the article prints."""
    if len(argv) != 1:
        sys.exit("usage: python benchmarks/article.py FOLDER   # of MNIST's four gzipped files")
    (X_train, Y_train), (X_test, Y_test) = read_digits(Path(argv[0]))
    X_train, X_test = standardize(X_train, X_test)
    print("try to train the model with:")
    print(f"  learning rate: {LEARNING_RATE:f}")
    print(f"  iteration    : {ITERATIONS}")
    print(f"  neurons in hidden layer: {HIDDEN}\n")
    parameters = initial(HIDDEN, len(X_train))
    last = 0.0
    for iteration in range(1, ITERATIONS + 1):
        parameters, current = iterate(parameters, X_train, Y_train, LEARNING_RATE)
        if iteration % (ITERATIONS // 20) == 0:
            costs = f"cost_current:{current:f},cost_last:{last:f},cost reduce:{last - current:f}"
            print(f"iteration: {iteration:5d},{costs}")
        last = current
    _, _, A2 = forward(parameters, X_test)
    wrong = np.flatnonzero((A2 > 0.5) != Y_test)
    for index in wrong:
        print(f"failed to recognize: {index}")
    print(f"total test set:{Y_test.size},and err rate:{wrong.size / Y_test.size}")


if __name__ == "__main__":
    main(sys.argv[1:])
