import threading
from functools import partial

import pytest
from overlap import Inside
from support import import_or_skip, run_python
from threadpoolctl import threadpool_info, threadpool_limits

from ssnn.system import blas
from ssnn.system.blas import blas_threads, limit_blas


def numbers():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def needs_blas():
    if not numbers():
        pytest.skip("this NumPy computes without a BLAS whose threads can be set")


@pytest.mark.parametrize("counts", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt()], ids=repr)
def test_limits_that_overlap_in_any_order_leave_the_number_as_it_was(counts, order, error):
    before, usual = numbers(), blas_threads()
    holders = []
    for count in counts:
        holders.append(Inside(partial(limit_blas, count)))
        assert set(numbers().values()) == {min(counts[: len(holders)])}
        assert blas_threads() == usual
    holders[order[0]].leave(error)
    assert set(numbers().values()) == {counts[order[1]]}
    holders[order[1]].leave()
    assert numbers() == before


def test_limits_nest_in_one_thread_and_none_changes_nothing():
    before = numbers()
    with limit_blas(2), limit_blas(1), limit_blas(None):
        assert set(numbers().values()) == {1}
    assert numbers() == before


def test_the_number_that_somebody_else_sets_meanwhile_or_in_between_stays():
    with threadpool_limits(3, "blas"):
        with limit_blas(1):
            threadpool_limits(2, "blas")
        assert set(numbers().values()) == {2}
        threadpool_limits(4, "blas")
        with limit_blas(1):
            pass
        assert set(numbers().values()) == {4}


def test_a_library_that_was_loaded_later_is_limited_too():
    import_or_skip("scipy")
    code = """
import numpy
from threadpoolctl import threadpool_info
from ssnn.system.blas import limit_blas
def numbers():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
with limit_blas(1):
    few = len(numbers())
    import scipy.linalg
    before = numbers()
    with limit_blas(1):
        print(set(numbers().values()), end=" ")
later = numbers()
print(len(later) - few, {later[file] == number for file, number in before.items() if number > 1})
"""
    limited, _, found = run_python(code, OPENBLAS_NUM_THREADS="2").partition(" ")
    assert limited == "{1}"
    if found.startswith("0"):
        pytest.skip("SciPy has brought no BLAS of its own")
    assert found == "1 {True}"


class PerThread:
    """OpenBLAS made with OpenMP: each thread has a number of its own."""

    filepath, internal_api, threading_layer = "libopenblas.so", "openblas", "openmp"

    def __init__(self):
        self.own = threading.local()

    @property
    def num_threads(self):
        return getattr(self.own, "number", 4)

    def set_num_threads(self, number):
        self.own.number = number


def test_where_each_thread_has_a_number_of_its_own_each_gets_its_own_back(monkeypatch):
    library = PerThread()
    monkeypatch.setattr(blas, "_libraries", lambda: [library])
    holders = [Inside(lambda: limit_blas(1), lambda: library.num_threads) for _ in range(2)]
    for holder in holders:
        holder.leave()
    assert [holder.seen for holder in holders] == [[1, 4], [1, 4]]
