"""What can go wrong, by the exit code of the command line.

Each message is one printable line for the person who caused it: what is wrong, where, and what to do.
"""

from ssnn.printable import printable


class SsnnError(Exception):
    """The root of every error that a user can cause; the command line prints it and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


class TrainingError(SsnnError):
    """A run that started and cannot go on, for instance because its cost is no longer finite."""


class UsageError(SsnnError, ValueError):
    """A setting that makes no sense, whatever the machine."""

    exit_code = 2


class BackendError(SsnnError):
    """A backend, device or precision that this machine does not offer."""

    exit_code = 3


class DisagreementError(SsnnError):
    """Two computations that should give the same, and do not."""

    exit_code = 4


class DataError(SsnnError):
    """Data that cannot be used: missing, damaged, or not what its name says."""

    exit_code = 5


class ModelError(SsnnError):
    """A model file that cannot be used: missing, damaged, or not an ssnn model."""

    exit_code = 6
