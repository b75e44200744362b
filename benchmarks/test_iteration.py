"""How long one full-batch iteration takes on each backend.

What is timed is the loop that training runs, compiled and called once before, with one synchronisation at its end;
and what it computes must agree with NumPy float64 before its time counts.
"""

from dataclasses import asdict

import numpy as np
import pytest

from ssnn import backends
from ssnn.timing.trial import Trial

HIDDEN = (10, 30, 100, 300)
ROUNDS = 15  # calls over some seconds, so that one slow second of a shared machine does not decide


@pytest.mark.parametrize("dtype", backends.DTYPES)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("name", backends.BUILT_IN)
def test_iteration(name, hidden, dtype, benchmark, digits, settings_for, reference_for, limits_of, open_or_skip):
    backend, settings = open_or_skip(name, dtype), settings_for(hidden)
    trial = Trial(backend, digits, settings)
    apart = trial.verify(reference_for(hidden))
    features = len(trial.standardization.features)
    least = limits_of(backend.device, dtype).least_seconds(
        (features, hidden, 1), len(digits.train), np.dtype(dtype).itemsize
    )
    benchmark.group = f"hidden {hidden}, {dtype}, {len(digits.train)} {digits.name} digits, {backend.device}"
    benchmark.pedantic(trial.run, rounds=ROUNDS)
    benchmark.extra_info |= asdict(backend.describe()) | {
        "kind": "iteration",
        "data": digits.name,
        "samples": len(digits.train),
        "features": features,
        "hidden": [hidden],
        "iterations": settings.iterations,
        "ms_per_iteration": 1e3 * benchmark.stats.stats.median / settings.iterations,
        "limit_ms": 1e3 * least,
        "transfer_seconds": trial.seconds["transfer"],
        "compile_seconds": trial.seconds["compile"],
        "first_call_seconds": trial.seconds["first call"],
        "disagreement": apart,
        "tolerance": trial.tolerance(),
    }
