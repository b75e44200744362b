"""The time of one full-batch iteration in each program: our backends, and other libraries on equal terms.

All programs do the same work and must agree with NumPy float64 before their time counts. A call does many iterations
and waits for the device once, at its end. The calls of all programs of a group alternate, so that a slow spell of the
machine affects all alike; the test of each program then reports its row.
"""

from functools import cache

import pytest

from benchmarks.programs import PROGRAMS, Work, time_programs

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
def test_iteration(hidden, dtype, name, timed, report_timed):
    report_timed(timed(hidden, dtype)[name], f"hidden {hidden}")
