import dataclasses

import pytest

from ssnn.backends import Description
from ssnn.timing.recommendation import BreakEven, recommend
from ssnn.timing.trial import Measurement


def measurement(name, ms, compile=0.0, hidden=10):
    return Measurement(
        backend=Description(name, name, "1", "cpu", "float32", "highest", 2),
        data="mnist",
        samples=12665,
        features=617,
        hidden=(hidden,),
        iterations=10,
        transfer=0.0,
        compile=compile,
        first_call=0.0,
        disagreement=0.0,
        tolerance=1.0,
        calls=(ms / 100,),
    )


def test_compilation_is_weighed_against_iterations():
    """NumPy takes 4 ms each, JAX 0.5 s and 2 ms each: both are done at the same time after 250."""
    numpy, jax, strict = measurement("numpy", 4), measurement("jax", 2, compile=0.5), measurement("strict", 1)
    (many,) = recommend([numpy, jax, strict], 500)
    assert (many.backend, many.seconds) == ("jax", pytest.approx(1.5))
    assert (many.below, many.above) == (BreakEven("numpy", 250), None)
    assert str(many) == (
        "For 500 iterations with 10 hidden neurons take jax: 1.50 s, import included; "
        "below 250 iterations numpy is faster."
    )
    (few,) = recommend([numpy, jax, strict], 100)
    assert (few.backend, few.below, few.above) == ("numpy", None, BreakEven("jax", 250))
    assert str(few).endswith("take numpy: 0.40 s, import included; above 250 iterations jax is faster.")


def test_the_import_counts():
    slow_to_open = dataclasses.replace(measurement("jax", 2, compile=0.5), opening=1.0)
    (recommended,) = recommend([measurement("numpy", 4), slow_to_open], 500)
    assert (recommended.backend, recommended.above) == ("numpy", BreakEven("jax", 750))


def test_strict_is_never_recommended():
    assert recommend([measurement("strict", 1)], 500) == []


def test_the_nearest_break_even_points_are_reported():
    lines = [measurement("a", 10), measurement("b", 4, compile=0.6), measurement("c", 1, compile=3.0)]
    (recommended,) = recommend(lines, 200)
    assert (recommended.backend, recommended.below, recommended.above) == (
        "b",
        BreakEven("a", 100),
        BreakEven("c", 800),
    )


def test_two_backends_of_the_same_speed_have_no_break_even_point():
    (recommended,) = recommend([measurement("a", 4), measurement("b", 4, compile=0.5)], 200)
    assert (recommended.backend, recommended.below, recommended.above) == ("a", None, None)


def test_each_size_has_its_own_recommendation():
    sizes = [measurement("a", 1), measurement("b", 2), measurement("a", 9, hidden=300), measurement("b", 8, hidden=300)]
    assert [(each.hidden, each.backend) for each in recommend(sizes, 10)] == [((10,), "a"), ((300,), "b")]
