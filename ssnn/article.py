"""The article's own run: its settings, and the lines that it prints."""

from ssnn.model.metrics import Evaluation
from ssnn.settings import Settings
from ssnn.training.progress import Progress

SETTINGS = Settings(hidden=(10,), learning_rate=0.5, iterations=500, seed=561, constant_features="keep")
DTYPE = "float64"


def heading(settings: Settings) -> str:
    """What the article prints before the first iteration."""
    hidden = ", ".join(str(neurons) for neurons in settings.hidden) or "none"
    return (
        "try to train the model with:\n"
        f"  learning rate: {settings.learning_rate:f}\n"
        f"  iteration    : {settings.iterations}\n"
        f"  neurons in hidden layer: {hidden}\n"
    )


def progress_line(progress: Progress) -> str:
    """What the article prints every twentieth of the iterations."""
    return (
        f"iteration: {progress.iteration:5d},cost_current:{progress.cost:f},cost_last:{progress.previous_cost:f},"
        f"cost reduce:{progress.previous_cost - progress.cost:f}"
    )


def verdict(test: Evaluation) -> str:
    """What the article prints at the end: each test image that it gets wrong, and the error rate."""
    failures = [f"failed to recognize: {index}" for index in test.errors]
    return "\n".join([*failures, f"total test set:{test.samples},and err rate:{test.error_rate}"])
