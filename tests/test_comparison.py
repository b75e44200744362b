import os
import time
from types import SimpleNamespace

import psutil
import pytest

from ssnn.errors import BackendError
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


def busy_steps(seconds):
    while True:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        yield os.getpid()


def test_a_process_computes_only_what_it_is_asked_for():
    workers = [comparison._lazily_in_a_process(busy_steps, 0.2) for _ in range(2)]
    first, second = (psutil.Process(next(worker)) for worker in workers)
    before = sum(second.cpu_times()[:2])
    next(workers[0])
    assert sum(second.cpu_times()[:2]) - before < 0.05
    for worker in workers:
        worker.close()
    assert not psutil.wait_procs([first, second], timeout=10)[1]


@pytest.mark.parametrize(("free", "groups"), [(10**9, ["abc"]), (4 * 10**6, ["ab", "c"]), (10**6, ["a", "b", "c"])])
def test_backends_are_measured_together_as_far_as_they_fit_into_memory(monkeypatch, few_digits, free, groups):
    """Each needs 1.5 MB for these samples."""
    measured = []
    monkeypatch.setattr(comparison, "in_a_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(comparison, "_measure", lambda names, *_: measured.append(names) or [])
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    comparison.compare(few_digits, "abc", [2], 2, "float32", lambda *_: None)
    assert measured == groups
