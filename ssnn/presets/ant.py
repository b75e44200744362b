"""Ant, the first of the author's series: one logistic neuron learns which of the numbers 0 … 5 is a 5.

It is the same network without a hidden layer and with one input, x itself. Its author follows sums over the samples
where the article follows means, and prints each cost as it is after the update.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ssnn.backends import Backend
from ssnn.network import Layer, cost, forward, logistic
from ssnn.presets.series import cost_line
from ssnn.standardize import Standardization
from ssnn.system.stopwatch import Stopwatch
from ssnn.training.batch import Rows, batch_to_device
from ssnn.training.loop import Loop

LEARNING_RATE = 0.01
ITERATIONS = 50_000
LINES = 10  # about as many are printed while it trains
THRESHOLD = 1e-6  # of the reduction of the cost; its author prints it, and nothing depends on it

NUMBERS = np.arange(6, dtype=np.uint8)
LABELS = np.array([0, 0, 0, 0, 0, 1], np.uint8)
AS_IT_IS = Standardization(np.arange(1), mean=np.zeros(1), std=np.ones(1), n_constant=0)


def lines(backend: Backend, learning_rate: float, iterations: int) -> Iterator[str]:
    """Train, and give each line that the author's program prints when it is known.

    Raises
    ------
    TrainingError
        If a cost or a parameter is no longer finite.
    """
    yield (
        f"try to train the model with:\n  learning rate: {learning_rate:f}\n  max iteration : {iterations}\n"
        f"  cost reduction threshold: {THRESHOLD:f}\n"
    )
    start = (Layer(W=np.zeros((1, 1)), b=np.zeros((1, 1))),)
    samples, watch = Rows(NUMBERS[:, None], LABELS), Stopwatch()
    batch = batch_to_device(backend, AS_IT_IS, samples, start, watch)
    sums = backend.program(lambda mean_weight: len(NUMBERS) * mean_weight)(batch.sample_weight)
    loop = Loop(backend, replace(batch, sample_weight=sums), learning_rate, watch)
    state, done = loop.begin(backend.to_device(start)), 0
    step = max(1, iterations // LINES)
    for reached, costs in loop.iterate(state, [*range(0, iterations, step), iterations]):
        state = reached
        done += len(costs)
        network = loop.to_host_finite(state, done).network
        _, Z = forward(network, NUMBERS[None].astype(backend.dtype))
        if done % step == 0:  # and not where the loop comes back within a step
            yield cost_line("iteration", done, cost(Z, LABELS[None].astype(backend.dtype), 1.0), costs[-1])
    (layer,) = network
    yield f"after the training, parameter w = {layer.W[0, 0]:f} and b = {layer.b[0, 0]:f}"
    for x, y, p in zip(NUMBERS, LABELS, logistic(Z[0]), strict=True):
        yield f"sample: x[{x}]:{x},y[{x}]:{y}; the prediction is {p > 0.5:d} with probability:{p:f}"
