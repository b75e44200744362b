import pytest

from benchmarks.limits import Limits, best_of, measure_limits
from ssnn import backends


def test_the_limit_is_the_time_of_the_arithmetic_or_of_the_memory_traffic():
    """By hand, for 617-10-1 and 12,665 samples: Z1, dW1 with 6,170 weights; Z2, dW2, dZ1 with 10."""
    operations = 2 * 12_665 * (2 * 6_170 + 3 * 10)
    read = 12_665 * 617 * 4
    arithmetic = Limits(1e9, 1e15, "a", "b").min_seconds((617, 10, 1), 12_665, 4)
    data = Limits(1e15, 1e9, "a", "b").min_seconds((617, 10, 1), 12_665, 4)
    assert arithmetic == pytest.approx(operations / 1e9)
    assert data == pytest.approx(read / 1e9)


def test_without_a_hidden_layer_nothing_is_propagated_back():
    assert Limits(1.0, 1e9, "a", "b").min_seconds((100, 1), 10, 8) == 2 * 10 * 2 * 100


def test_the_best_of_each_rate_counts():
    found = [Limits(3.0, 1.0, "a", "a"), Limits(2.0, 5.0, "b", "b")]
    assert best_of(found) == Limits(3.0, 5.0, "a", "b")


@pytest.mark.parametrize("dtype", backends.DTYPES)
def test_limits_are_measured(monkeypatch, dtype):
    """With small arrays, whose rates only have to be plausible."""
    monkeypatch.setattr("benchmarks.limits.MATRIX_SIZE", 256)
    monkeypatch.setattr("benchmarks.limits.READ_BYTES", 2**20)
    limits = measure_limits(backends.open_backend("numpy", dtype=dtype))
    assert 1e8 < limits.flops < 1e14
    assert 1e8 < limits.bandwidth < 1e13
    assert (limits.flops_library, limits.bandwidth_library) == ("numpy", "numpy")
