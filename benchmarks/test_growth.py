"""How time and memory grow with the number of samples, and with the size of the hidden layer.

Each point is a process: pytest-benchmark times all of it, and the row's own figures are those of the iterations. All
points are synthetic digits, so that one curve has one kind of data.
"""

from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

from benchmarks.growth import measure_point, reference_network
from ssnn import backends, data
from ssnn.data.memmap import save_memmap
from ssnn.system.processes import in_a_process

SAMPLES = (1_000, 10_000, 100_000, 1_000_000)
HIDDEN = (10, 100, 1_000)
POINTS = [*((samples, 10) for samples in SAMPLES), *((10_000, hidden) for hidden in HIDDEN if hidden != 10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, show_progress) -> Path:
    """Synthetic digits on disk, of which a process reads only as many as it needs."""
    folder = tmp_path_factory.mktemp("synthetic")
    show_progress(f"drawing {max(SAMPLES):,} synthetic digits")
    save_memmap(data.with_samples(data.load_data("synthetic"), max(SAMPLES)), folder)
    return folder


@pytest.fixture(scope="module")
def reference_of(folder, settings_for, show_progress):
    @cache
    def reference_of(samples, hidden):
        show_progress(f"reference: {samples:,} images, {hidden} hidden neurons")
        return next(in_a_process(reference_network, folder, samples, settings_for(hidden, samples)))

    return reference_of


@pytest.mark.parametrize(("samples", "hidden"), POINTS)
@pytest.mark.parametrize("name", [name for name in backends.BUILT_IN if name != "strict"])
def test_growth(name, samples, hidden, benchmark, folder, reference_of, settings_for, open_or_skip, show_progress):
    backend, settings = open_or_skip(name, "float32"), settings_for(hidden, samples)
    reference = reference_of(samples, hidden)
    show_progress(f"{name}: {samples:,} images, {hidden} hidden neurons")
    benchmark.group = f"growth: {samples} synthetic digits, hidden {hidden}, float32, {backend.device}"
    measurement, peak_bytes = benchmark.pedantic(
        lambda: next(in_a_process(measure_point, folder, samples, settings, name, reference)), rounds=1
    )
    benchmark.extra_info |= asdict(measurement.backend) | {
        "kind": "growth",
        "data": measurement.data,
        "samples": samples,
        "features": measurement.features,
        "hidden": [hidden],
        "ms_per_iteration": measurement.ms_per_iteration,
        "transfer_seconds": measurement.transfer,
        "peak_bytes": peak_bytes,
        "input_values": samples * 784,
        "disagreement": measurement.disagreement,
        "tolerance": measurement.tolerance,
    }
