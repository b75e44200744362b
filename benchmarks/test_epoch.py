"""The time of one pass in mini-batches of 84 with Adam, in each program: 151 updates, so what each costs counts.

All programs take the same batches in the same order from the same initial parameters, and must agree with NumPy float64
before their time counts. The rounds of all programs alternate; each call begins at the initial parameters.
"""

import pytest

from benchmarks.programs import EPOCH, PROGRAMS, Work, time_programs
from ssnn.timing.trial import reference

DTYPE = "float32"
ROUNDS = 15  # a call is short


@pytest.fixture(scope="module")
def timed(request, digits, show_progress):
    """The selected programs, timed once."""
    items = [item for item in request.session.items if item.originalname == "test_epoch"]
    prepare = {name: PROGRAMS[DTYPE][name] for name in (item.callspec.params["name"] for item in items)}
    network, costs = reference(digits, EPOCH)
    work = Work(digits, EPOCH, DTYPE, network, costs)
    return time_programs(prepare, work, lambda text: show_progress(f"one epoch, {DTYPE}: {text}"), ROUNDS)


@pytest.mark.filterwarnings("default")  # other libraries may warn
@pytest.mark.parametrize("name", PROGRAMS[DTYPE])
def test_epoch(name, timed, report_timed):
    report_timed(timed[name], f"one epoch in batches of {EPOCH.batch_size}")
