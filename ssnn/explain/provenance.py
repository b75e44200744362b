"""What a network was made from and on, as names and values for people."""

from ssnn.explain import formatting
from ssnn.model.model import Model, TrainedModel
from ssnn.system import machine


def settings(model: Model) -> dict[str, str]:
    """The hyperparameters."""
    settings, done = model.settings, len(model.costs)
    parameters = sum(p.size for layer in model.network for p in layer)
    return {
        "Hidden layers": ", ".join(f"{n:,} neurons" for n in settings.hidden) or "none: logistic regression",
        "Parameters": f"{parameters:,}",
        "Learning rate": f"{settings.learning_rate:g}",
        "Iterations": f"{done:,}" if done == settings.iterations else f"{done:,} of {settings.iterations:,}",
        "Seed": str(settings.seed),
        "Pixels that never vary": f"{settings.constant_features} ({model.data.constant_features:,} of them)",
    }


def data(model: Model) -> dict[str, str]:
    """What it was trained and tested on."""
    data = model.data
    return {
        "Images": data.name,
        "Digits": f"{data.digits[0]} and {data.digits[1]}",
        "For training": f"{data.train:,}",
        "For testing": f"{data.test:,}",
        "Pixels in use": f"{data.features:,} of {model.pixels:,}",
        "SHA-256 of the training images": data.sha256,
    }


def environment(model: Model) -> dict[str, str]:
    """What the network was trained on, and what the report was written on."""
    backend, here = model.backend, machine.describe()
    trained = {
        "Trained by": f"{backend.name} ({backend.library} {backend.version})",
        "Trained on": backend.device
        + (f", {formatting.counted(backend.threads, 'thread')}" if backend.threads else ""),
        "Numbers": f"{backend.dtype}, precision {backend.precision}",
    }
    if isinstance(model, TrainedModel):
        trained["Time"] = f"{model.run.seconds.iterations:.2f} s for {model.run.iterations:,} iterations"
    return trained | {
        "Report written on": f"{here['cpu']}, {formatting.counted(here['cores'], 'core')}, {here['system']}",
        "Python": here["python"],
        "Libraries": ", ".join(f"{name} {version}" for name, version in here["libraries"].items()),
    }
