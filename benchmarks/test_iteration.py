"""The time of one full-batch iteration in each program: our backends, and other libraries on equal terms.

All programs do the same work and must agree with NumPy float64 before their time counts. A call does many iterations
and waits for the device once, at its end. The calls of all programs of a group alternate, so that a slow spell of the
machine affects all alike; the test of each program then reports its row.
"""

from functools import cache
from statistics import median

import numpy as np
import pytest

from benchmarks.programs import PROGRAMS, Work, time_programs
from ssnn.errors import BackendError

HIDDEN = (10, 30, 100, 300)
CASES = [(hidden, dtype, name) for hidden in HIDDEN for dtype, programs in PROGRAMS.items() for name in programs]


@pytest.fixture(scope="module")
def timed(request, digits, settings_for, reference_for, show_progress):
    """The selected programs of a group, timed once."""
    selected = [item.callspec.params for item in request.session.items if item.originalname == "test_iteration"]

    @cache
    def timed(hidden, dtype):
        names = [case["name"] for case in selected if (case["hidden"], case["dtype"]) == (hidden, dtype)]
        network, costs = reference_for(hidden)
        work = Work(digits, settings_for(hidden), dtype, network, costs)
        prepare = {name: PROGRAMS[dtype][name] for name in names}
        return time_programs(prepare, work, lambda text: show_progress(f"hidden {hidden}, {dtype}: {text}"))

    return timed


@pytest.mark.filterwarnings("default")  # other libraries may warn
@pytest.mark.parametrize(("hidden", "dtype", "name"), CASES)
def test_iteration(hidden, dtype, name, benchmark, timed, limits_of):
    outcome = timed(hidden, dtype)[name]
    if isinstance(outcome, BackendError):
        pytest.skip(str(outcome))
    if isinstance(outcome, Exception):
        raise outcome
    row = outcome.row
    device, _, _ = row["device"].partition(" ")
    sizes = row["features"], hidden, 1
    min_seconds = limits_of(device, dtype).min_seconds(sizes, row["samples"], np.dtype(dtype).itemsize)
    benchmark.group = f"hidden {hidden}, {dtype}, {row['samples']} {row['data']} digits, {device}"
    report(benchmark, outcome.seconds)
    benchmark.extra_info |= row | {
        "ms_per_iteration": 1e3 * median(outcome.seconds) / row["iterations"],
        "limit_ms": 1e3 * min_seconds,
    }


def report(benchmark, seconds):
    """Hand over calls that were timed outside of the fixture; pytest-benchmark has no public function for it."""
    benchmark._mode = "alternating rounds"
    stats = benchmark._make_stats(iterations=1)
    for each in seconds:
        stats.update(each)
