"""Continuing a run: what it must have in common with the model that it goes on from."""

from dataclasses import fields

from ssnn.backends import Backend
from ssnn.data import Dataset
from ssnn.errors import UsageError
from ssnn.model.model import Model
from ssnn.settings import Settings, words


def check_continues(model: Model, dataset: Dataset, sha256: str, backend: Backend, settings: Settings) -> None:
    """Refuse to continue a model with other data, another dtype or other settings than it was begun with.

    Raises
    ------
    UsageError
        If something contradicts the model, or it has done all iterations already.
    """
    pairs = [
        (words(field.name), getattr(settings, field.name), getattr(model.settings, field.name))
        for field in fields(Settings)
        if field.name != "iterations"
    ]
    pairs += [("dtype", backend.dtype, model.dtype), ("digits", dataset.classes, model.data.digits)]
    contradictions = [
        f"{name} {_plain(given)}, not {_plain(expected)}" for name, given, expected in pairs if given != expected
    ]
    if contradictions:
        raise UsageError(f"what is asked for contradicts the model to be continued: {'; '.join(contradictions)}")
    if sha256 != model.data.sha256:
        raise UsageError(
            f"the model to be continued has learnt from {model.data.train:,} other images, {model.data.name} "
            f"({model.data.origin}); these are {len(dataset.train):,}, {dataset.name} ({dataset.origin})"
        )
    per_iteration = settings.updates_per_iteration(len(dataset.train))
    if settings.iterations * per_iteration <= len(model.costs):
        done = len(model.costs) // per_iteration
        raise UsageError(f"{settings.iterations} iterations: the model has done {done}, and this is the total to reach")


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return " ".join(map(str, value)) or "0" if isinstance(value, tuple) else str(value)
