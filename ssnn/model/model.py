"""A trained network and all that belongs to it: what can be kept, continued, asked and handed on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ssnn.backends import Backend, Description, open_backend
from ssnn.data import Dataset, Samples
from ssnn.data.dataset import check_samples, image_rows
from ssnn.errors import ModelError
from ssnn.model import inference
from ssnn.model.metrics import MAX_IN_REPR, Evaluation, evaluate, listed, percent
from ssnn.model.novelty import Novelty
from ssnn.model.record import DataSummary, Run
from ssnn.network import Network, logistic
from ssnn.printable import printable
from ssnn.settings import Settings
from ssnn.standardize import Standardization
from ssnn.typing import Tree

if TYPE_CHECKING:
    from ssnn.explain.cards import Cards

MAX_WIDTH = 80  # characters of a line of a repr
MAX_LAYERS = 5  # hidden ones that a repr shows one by one


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A trained network with its standardisation, and the record of how it came about.

    Images are uint8 grey values, 0 (black) … 255 (ink), as (m, 28, 28) or as rows (m, 784), of any array library;
    results are NumPy arrays. Methods compute on the backend that they are given, open or by name; by name in float64,
    also where training was in float32: a pixel that hardly varied enters the network with a large input, and float32
    then errs in the 6th digit of a probability.

    Attributes
    ----------
    network : tuple of Layer
        NumPy arrays in the dtype of the run.
    standardization : Standardization
    novelty : Novelty
        Detects images unlike those that it was trained on.
    settings : Settings
        `settings.iterations` is what was asked for; `iterations` may be less, of a run that was stopped.
    data : DataSummary
    backend : Description
        What computed the last iterations.
    costs : tuple of float
        Of every update, each taken before it: of the full batch, or of a mini-batch.
    optimizer_state : tree
        NumPy arrays: what the optimizer goes on from; see `ssnn.optimizers`.
    """

    network: Network
    standardization: Standardization
    novelty: Novelty
    settings: Settings
    data: DataSummary
    backend: Description
    costs: tuple[float, ...]
    optimizer_state: Tree

    def __repr__(self) -> str:
        lines = map(printable, self._summary())
        return "\n".join(line if len(line) <= MAX_WIDTH else f"{line[: MAX_WIDTH - 1]}…" for line in lines)

    @property
    def iterations(self) -> float:
        """Passes over the training images that it has done; not a whole number where it was stopped within one."""
        return len(self.costs) / self.settings.updates_per_iteration(self.data.train)

    @property
    def dtype(self) -> str:
        """Of the parameters, "float32" or "float64"."""
        return str(self.network[0].W.dtype)

    @property
    def pixels(self) -> int:
        """How many pixels an image has."""
        return int(self.novelty.mean.shape[1])

    def logits(self, images: npt.NDArray[np.uint8], backend: str | Backend = "numpy") -> npt.NDArray[np.float64]:
        """The logit of each image, (m,): positive where the network takes it for `data.digits[1]`.

        Raises
        ------
        UsageError
            If the images are not uint8 of the right shape; so for all methods below.
        BackendError
            If the backend is not usable here; so for all methods below.
        ModelError
            If a logit or a score is not finite, which means damaged parameters; so for all methods below.
        """
        rows = image_rows(images)
        found = inference.logits(self._open(backend), self.network, self.standardization, rows)
        inference.check_finite(found)
        return found

    def predict(self, images: npt.NDArray[np.uint8], backend: str | Backend = "numpy") -> npt.NDArray[np.uint8]:
        """The digit that each image is taken for, uint8 (m,)."""
        return self.decide(self.logits(images, backend))

    def decide(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """The digit that each logit (m,) stands for, uint8 (m,)."""
        digits = np.array(self.data.digits, np.uint8)
        return digits[(logits > 0).astype(np.intp)]

    def predict_proba(self, images: npt.NDArray[np.uint8], backend: str | Backend = "numpy") -> npt.NDArray[np.float64]:
        """The probability of either digit, (m, 2), in the order of `data.digits`."""
        Z = self.logits(images, backend)
        return np.stack([logistic(-Z), logistic(Z)], axis=1)

    def novelty_score(self, images: npt.NDArray[np.uint8], backend: str | Backend = "numpy") -> npt.NDArray[np.float64]:
        """How unlike the training images each image is, (m,): above 1 for one training image in a hundred.

        See `ssnn.model.novelty`.
        """
        scores = inference.novelty_scores(self._open(backend), self.novelty, image_rows(images))
        if not np.all(np.isfinite(scores)):
            raise ModelError("a novelty score is not finite: the model's parameters are invalid")
        return scores

    def evaluate(self, samples: Samples, backend: str | Backend = "numpy") -> Evaluation:
        """Evaluate the model on images whose classes are known.

        Raises
        ------
        UsageError
            If it is no `Samples`, or there is no image in it. Class 0 is `data.digits[0]`.
        """
        check_samples(samples, "what to evaluate on")
        return evaluate(self.logits(samples.pixels, backend), samples.labels)

    def to_json(self) -> dict[str, Any]:
        """The record as one JSON object of schema "ssnn.train/1", without the parameters."""
        return {
            "schema": "ssnn.train/1",
            "backend": asdict(self.backend),
            "data": asdict(self.data),
            "settings": asdict(self.settings),
            "costs": self.costs,
        }

    def explain(
        self,
        dataset: Dataset,
        index: int | Sequence[int] | None = None,
        *,
        images: npt.NDArray[np.uint8] | None = None,
        backend: str | Backend = "numpy",
        retrain: bool = False,
    ) -> "Cards":
        """Explain why images are classified as they are.

        A notebook shows the result as pictures, a terminal as text; `explanation` of the result holds the figures.

        Parameters
        ----------
        dataset : Dataset
            What the model was trained on.
        index : int or sequence of int, optional
            Which test images to explain. Without it and `images`, those that the model gets wrong, at most the first
            `ssnn.explain.analysis.MAX_WRONG`.
        images : uint8 array (m, 28, 28) or (m, 784), optional
            Images of one's own to explain.
        backend : str or Backend
            By name in the dtype of the model.
        retrain : bool
            Whether to train networks that differ in their seeds or see fewer images, as `ssnn explain` does without
            --quick. They show what is due to chance, and take most of the time.

        Returns
        -------
        Cards

        Raises
        ------
        UsageError
            If the model was trained on other images, or there is no test image of an index.
        """
        # The one import that runs upwards: an explanation needs training, but one asks the model for it.
        from ssnn.explain.cards import explain_images

        opened = open_backend(backend, dtype=self.dtype) if isinstance(backend, str) else backend
        return explain_images(self, dataset, opened, index, images, retrain)

    def _summary(self) -> list[str]:
        """The lines of the repr; no folder of the user's machine is in them."""
        hidden = list(map(str, self.settings.hidden))
        if len(hidden) > MAX_LAYERS:
            hidden[1:-1] = [f"… {len(hidden) - 2} more …"]
        layers = "→".join([str(self.pixels), *hidden, "1"])
        (zero, one), where = self.data.digits, self.backend
        minibatches = self.settings.updates_per_iteration(self.data.train) > 1
        done = f"updates by mini-batches of {self.settings.batch_size:,}" if minibatches else "iterations"
        cost = f", cost {self.costs[-1]:.6g}" if self.costs else ""
        return [
            f"{type(self).__name__}: {zero} or {one}, {layers}, {self.data.features} pixels used, {self.dtype}",
            f"{len(self.costs):,} {done} on {self.data.train:,} images of {self.data.name}{cost}",
            f"backend {where.name}: {where.library} {where.version} on {where.device}",
        ]

    def _open(self, backend: str | Backend) -> Backend:
        return open_backend(backend, dtype="float64") if isinstance(backend, str) else backend


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel(Model):
    """A model that was trained just now, with what its run measured.

    Attributes
    ----------
    run : Run
        Scores and times; a model that comes from a file has none.
    """

    run: Run

    def _summary(self) -> list[str]:
        test = self.run.test
        low, high = map(percent, test.error_rate_interval)
        score = f"error rate {percent(test.error_rate)}, with 95 % confidence {low} … {high}"
        wrong = f": {listed(test.errors, MAX_IN_REPR)}" if test.errors else ""
        return [*super()._summary(), score, f"{len(test.errors):,} of {test.samples:,} test images wrong{wrong}"]

    def to_json(self) -> dict[str, Any]:
        """The record as one JSON object of schema "ssnn.train/1", with scores and times."""
        scores = {"train": self.run.train.to_json(), "test": self.run.test.to_json()}
        return super().to_json() | {"batch": self.run.batch} | scores | {"seconds": asdict(self.run.seconds)}
