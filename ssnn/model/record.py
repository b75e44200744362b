"""The record of a run, as plain values: what a network was trained on, where the time went, how good it is."""

from dataclasses import dataclass

from ssnn.model.metrics import Evaluation


@dataclass(frozen=True)
class DataSummary:
    """What a network was trained on: see `ssnn.data.Dataset` for name, origin and digits.

    Attributes
    ----------
    train, test : int
        How many images.
    features : int
        How many pixels enter the network.
    constant_features : int
        How many pixels never vary in training, dropped or kept.
    sha256 : str
        Of the training images and their classes; to continue a run takes the same ones.
    """

    name: str
    origin: str
    digits: tuple[int, int]
    train: int
    test: int
    features: int
    constant_features: int
    sha256: str


@dataclass(frozen=True)
class Seconds:
    """Where the time went.

    `transfer` is the way of the data to the device, standardising included; `total` is everything from the
    first file to the last score.
    """

    load: float
    transfer: float
    compile: float
    iterations: float
    total: float


@dataclass(frozen=True)
class Run:
    """What one run of training measured.

    Attributes
    ----------
    updates : int
        Done in this run; those of a run that it continued are not among them.
    batch : {"raw pixels", "standardised pixels"}
        What the device kept.
    train, test : Evaluation
        Of the images it learnt from, and of the others.
    seconds : Seconds
    """

    updates: int
    batch: str
    train: Evaluation
    test: Evaluation
    seconds: Seconds
