import re
from types import SimpleNamespace

import pytest

from ssnn.errors import BackendError, SsnnError
from ssnn.system import machine
from ssnn.timing import comparison
from ssnn.timing.trial import ROUNDS


class Worker:
    """Steps that note when they are taken."""

    def __init__(self):
        self.order = []

    def steps(self, name, fail_at=None):
        for step in range(100):
            self.order.append((name, step))
            yield BackendError("lost") if step == fail_at else outcome(name, step)


def outcome(name, calls):
    fields = dict.fromkeys(comparison.Measurement.__dataclass_fields__)
    return comparison.Measurement(**fields | {"backend": SimpleNamespace(name=name), "calls": (1.0,) * calls})


def test_the_calls_of_all_backends_alternate():
    worker, names = Worker(), ["a", "b", "c"]
    workers = {name: worker.steps(name) for name in names}
    measured = list(comparison._alternate(workers, 10, lambda name: None))
    assert [(m.backend.name, len(m.calls)) for m in measured] == [(name, ROUNDS) for name in names]
    for step in range(1 + ROUNDS):
        assert sorted(worker.order[3 * step : 3 * step + 3]) == [(name, step) for name in names]


def test_a_backend_that_fails_leaves_the_others_their_rounds():
    worker = Worker()
    workers = {"a": worker.steps("a"), "b": worker.steps("b", fail_at=0), "c": worker.steps("c", fail_at=ROUNDS)}
    a, b, c = comparison._alternate(workers, 10, lambda name: None)
    assert len(a.calls) == ROUNDS
    assert b == comparison.Failure("b", 10, "lost", disagrees=False)
    assert c == comparison.Failure("c", 10, "lost", disagrees=False)
    assert ("b", 1) not in worker.order


@pytest.mark.parametrize(("free", "groups"), [(10**9, ["abc"]), (4 * 10**6, ["ab", "c"]), (10**6, ["a", "b", "c"])])
def test_backends_are_measured_together_as_far_as_they_fit_into_memory(monkeypatch, few_digits, free, groups):
    """Each needs 1.5 MB for these samples."""
    measured = []
    monkeypatch.setattr(comparison, "in_a_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(comparison, "_measure", lambda names, *_: measured.append(names) or [])
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    comparison.compare(few_digits, "abc", [2], 2, "float32", lambda *_: None)
    assert measured == groups


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_temporary_folder_without_room_is_told_with_the_remedy(monkeypatch, few_digits, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(comparison, "save_memmap", fail)
    message = (
        f"the training images, 0 MB, cannot be written to a temporary folder ({error.strerror}); "
        "let TMPDIR name a folder with more room"
    )
    with pytest.raises(SsnnError, match=f"^{re.escape(message)}$"):
        comparison.compare(few_digits, ["numpy"], [2], 2, "float32", lambda *_: None)
