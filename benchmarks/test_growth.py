"""How time and memory grow with the number of samples, and with the size of the hidden layer.

Each point is a process: what the clock of pytest-benchmark shows is all of it, and the row's own figures are those of
the iterations. All points are synthetic digits, so that one curve has one kind of data.
"""

from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

from benchmarks.growth import expected, point
from ssnn import backends, data
from ssnn.data.memmap import save_memmap
from ssnn.system.processes import in_a_process

SAMPLES = (1_000, 10_000, 100_000, 1_000_000)
HIDDEN = (10, 100, 1_000)
POINTS = [*((samples, 10) for samples in SAMPLES), *((10_000, hidden) for hidden in HIDDEN if hidden != 10)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A folder of synthetic digits, of which a process reads only as many as it needs."""
    folder = tmp_path_factory.mktemp("drawn")
    save_memmap(data.with_samples(data.load_data("synthetic"), max(SAMPLES)), folder)
    return folder


@pytest.fixture(scope="module")
def expected_for(drawn, settings_for):
    return cache(lambda samples, hidden: next(in_a_process(expected, drawn, samples, settings_for(hidden, samples))))


@pytest.mark.parametrize(("samples", "hidden"), POINTS)
@pytest.mark.parametrize("name", [name for name in backends.BUILT_IN if name != "strict"])
def test_growth(name, samples, hidden, benchmark, drawn, expected_for, settings_for, open_or_skip):
    backend, settings = open_or_skip(name, "float32"), settings_for(hidden, samples)
    wanted = expected_for(samples, hidden)
    benchmark.group = f"growth: {samples} synthetic digits, hidden {hidden}, float32, {backend.device}"
    measurement, peak = benchmark.pedantic(
        lambda: next(in_a_process(point, drawn, samples, settings, name, wanted)), rounds=1
    )
    benchmark.extra_info |= asdict(measurement.backend) | {
        "kind": "growth",
        "data": measurement.data,
        "samples": samples,
        "features": measurement.features,
        "hidden": [hidden],
        "ms_per_iteration": measurement.ms_per_iteration,
        "transfer_seconds": measurement.transfer,
        "peak_bytes": peak,
        "input_values": samples * 784,
        "disagreement": measurement.disagreement,
        "tolerance": measurement.tolerance,
    }
