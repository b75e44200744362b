"""Provenance of a network: settings, data and environment, as names and values for people."""

from ssnn.explain import formatting
from ssnn.model.model import Model, TrainedModel
from ssnn.system import machine


def settings(model: Model) -> dict[str, str]:
    """The hyperparameters."""
    chosen, done = model.settings, len(model.costs)
    parameters = sum(p.size for layer in model.network for p in layer)
    return {
        "Hidden layers": ", ".join(f"{n:,} neurons" for n in chosen.hidden) or "none: logistic regression",
        "Parameters": f"{parameters:,}",
        "Learning rate": f"{chosen.learning_rate:g}",
        "Iterations": f"{done:,}" if done == chosen.iterations else f"{done:,} of {chosen.iterations:,}",
        "Seed": str(chosen.seed),
        "Pixels that never vary": f"{chosen.constant_features} ({model.data.constant_features:,} of them)",
    }


def data(model: Model) -> dict[str, str]:
    """The images it was trained and tested on."""
    used = model.data
    return {
        "Images": used.name,
        "Digits": f"{used.digits[0]} and {used.digits[1]}",
        "For training": f"{used.train:,}",
        "For testing": f"{used.test:,}",
        "Pixels in use": f"{used.features:,} of {model.pixels:,}",
        "SHA-256 of the training images": used.sha256,
    }


def environment(model: Model) -> dict[str, str]:
    """Hardware and software of the training and of the report."""
    backend, here = model.backend, machine.describe()
    trained = {
        "Trained by": f"{backend.name} ({backend.library} {backend.version})",
        "Trained on": backend.device
        + (f", {formatting.counted(backend.threads, 'thread')}" if backend.threads else ""),
        "Numbers": f"{backend.dtype}, precision {backend.precision}",
    }
    if isinstance(model, TrainedModel):
        trained["Time"] = f"{model.run.seconds.iterations:.2f} s for {model.run.updates:,} updates"
    return trained | {
        "Report written on": f"{here['cpu']}, {formatting.counted(here['cores'], 'core')}, {here['system']}",
        "Python": here["python"],
        "Libraries": ", ".join(f"{name} {version}" for name, version in here["libraries"].items()),
    }
