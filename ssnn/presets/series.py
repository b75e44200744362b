"""Bear, which is the article, cat and dolphin: their settings, and the lines that they print.

Cat and dolphin add 1e-10 to every std where the article adds 1e-9: no figure that they print depends on it.
"""

import math
from collections.abc import Iterator

from ssnn.data import Dataset
from ssnn.model.model import TrainedModel
from ssnn.settings import Settings
from ssnn.training.progress import Progress

BEAR = Settings(hidden=(10,), learning_rate=0.5, iterations=500, seed=561, constant_features="keep")
CAT = Settings(
    hidden=(10,), learning_rate=0.1, iterations=1, seed=561, constant_features="keep", batch_size=84, order="file"
)
DOLPHIN = Settings(
    hidden=(10,),
    learning_rate=0.01,
    iterations=1,
    seed=561,
    constant_features="keep",
    optimizer="adam",
    batch_size=84,
    order="file",
    beta_1=0.9,
    beta_2=0.998,
    epsilon=1e-10,
)
SERIES = {"article": BEAR, "bear": BEAR, "cat": CAT, "dolphin": DOLPHIN}
DTYPE = "float64"
SHOWN = 20  # classes that cat and dolphin show


def heading(preset: str, settings: Settings, samples: int) -> str:
    """What a preset prints before the first update."""
    hidden = ", ".join(str(neurons) for neurons in settings.hidden) or "none"
    lines = [
        "try to train the model with:",
        f"  learning rate: {settings.learning_rate:f}",
        f"  iteration    : {settings.iterations}",
        f"  neurons in hidden layer: {hidden}",
    ]
    size = settings.batch_size or samples
    if preset == "cat":
        lines += [f"  total samples: {samples}", f"  batch_size   : {size:.2f}"]
    if preset == "dolphin":
        lines.append(f"  batch_size : {size:7.2f}")
        if settings.optimizer == "adam":
            lines += [f"  momentum:      {settings.beta_1}", f"  RMSp:          {settings.beta_2}"]
    return "\n".join([*lines, ""])


def progress_lines(preset: str, progress: Progress, shown: int) -> Iterator[str]:
    """What a preset prints at the end of a progress step.

    The article's program prints the cost of its last iteration; cat and dolphin those of all updates but the `shown`
    first, for which that was done.
    """
    costs = progress.costs
    if preset not in ("cat", "dolphin"):
        yield cost_line("iteration", progress.iteration, costs[-1], costs[-2] if len(costs) > 1 else math.inf)
        return
    per_pass = len(costs) // progress.iteration
    for number in range(shown + 1, len(costs) + 1):
        if preset == "dolphin" and (number - 1) % per_pass == 0:
            yield f"iteration/epoch: {(number - 1) // per_pass + 1:5d}"
        before = costs[number - 2] if number > 1 else math.inf
        yield cost_line("batch iteration", number, costs[number - 1], before)


def ending(preset: str, model: TrainedModel, dataset: Dataset) -> str:
    """What a preset prints in the end: each test image that it gets wrong, and the error rate.

    Before that, cat and dolphin show classes of the first training images beside what is predicted for the first images
    of the last mini-batch: two different sets of images, as their author has it.
    """
    settings, test = model.settings, model.run.test
    lines = [f"failed to recognize: {index}" for index in test.errors]
    if preset in ("cat", "dolphin"):
        last = (settings.updates_per_iteration(len(dataset.train)) - 1) * (settings.batch_size or 0)
        predicted = model.logits(dataset.train.pixels[last : last + SHOWN]) > 0
        labels = dataset.train.labels[:SHOWN]
        lines = ["Label:", str(labels.astype(float)), "Predict:", str(predicted.astype(float)), *lines]
    return "\n".join([*lines, f"total test set:{test.samples},and err rate:{test.error_rate}"])


def cost_line(what: str, number: int, cost: float, before: float) -> str:
    """What the author's programs print of a cost and of the one before."""
    return f"{what}: {number:5d},cost_current:{cost:f},cost_last:{before:f},cost reduce:{before - cost:f}"
