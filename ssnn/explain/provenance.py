"""Provenance of a network: settings, data and environment, as names and values for people."""

from ssnn.explain import formatting
from ssnn.model.model import Model, TrainedModel
from ssnn.settings import Settings
from ssnn.system import machine


def settings(model: Model) -> dict[str, str]:
    """The hyperparameters."""
    chosen, per_iteration = model.settings, model.settings.updates_per_iteration(model.data.train)
    parameters = sum(p.size for layer in model.network for p in layer)
    done = f"{model.iterations:,.2f}".removesuffix(".00")
    passes = done if model.iterations == chosen.iterations else f"{done} of {chosen.iterations:,}"
    batches = {"Batch": "the full batch", "Iterations": passes}
    if per_iteration > 1:
        order = "in random order" if chosen.order == "random" else "in the order of the file"
        batches = {
            "Batch": f"mini-batches of {chosen.batch_size:,} images, {order}",
            "Passes over the training images": passes,
            "Updates": f"{len(model.costs):,}",
        }
    return {
        "Hidden layers": ", ".join(f"{n:,} neurons" for n in chosen.hidden) or "none: logistic regression",
        "Parameters": f"{parameters:,}",
        "Optimizer": _optimizer(chosen),
        "Learning rate": f"{chosen.learning_rate:g}",
        **batches,
        "Seed": str(chosen.seed),
        "Pixels that never vary": f"{chosen.constant_features} ({model.data.constant_features:,} of them)",
    }


def _optimizer(chosen: Settings) -> str:
    if chosen.optimizer == "momentum":
        return f"gradient descent with momentum {chosen.momentum:g}"
    if chosen.optimizer == "adam":
        return f"Adam (β₁ {chosen.beta_1:g}, β₂ {chosen.beta_2:g}, ε {chosen.epsilon:g})"
    return "gradient descent"


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
        unit = "iteration" if model.settings.updates_per_iteration(model.data.train) == 1 else "update"
        trained["Time"] = f"{model.run.seconds.iterations:.2f} s for {formatting.counted(model.run.updates, unit)}"
    return trained | {
        "Report written on": f"{here['cpu']}, {formatting.counted(here['cores'], 'core')}, {here['system']}",
        "Python": here["python"],
        "Libraries": ", ".join(f"{name} {version}" for name, version in here["libraries"].items()),
    }
