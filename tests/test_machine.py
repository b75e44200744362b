import numpy as np

from ssnn.system import machine


def test_the_machine_is_described():
    here = machine.describe()
    assert here["cores"] >= 1
    assert here["memory_bytes"] > machine.free_memory() > 0
    assert here["libraries"]["numpy"] == np.__version__
    assert "/" not in here["cpu"]


def test_peak_memory_counts_an_array_that_was_held():
    before = machine.peak_memory()
    array = np.ones(before + 10**8, np.uint8)
    assert array.nbytes <= machine.peak_memory() <= array.nbytes + before + 10**8
