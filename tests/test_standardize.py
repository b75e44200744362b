import statistics
from fractions import Fraction
from itertools import product
from math import isqrt, ulp

import numpy as np
import pytest
from support import BACKENDS, open_or_skip

from ssnn.errors import DataError, UsageError
from ssnn.standardize import fit_floats, fit_pixels, select, standardize, standardize_floats


@pytest.fixture
def pixels(random):
    """5,000 images of 6 pixels: one is always 0, one always 7, the others vary, one of them once only."""
    pixels = random.integers(0, 256, (5000, 6), dtype=np.uint8)
    pixels[:, 1], pixels[:, 4], pixels[:, 5] = 0, 7, 0
    pixels[123, 5] = 1
    return pixels


def exact(column):
    """Mean and standard deviation in rational arithmetic, the root to 40 digits."""
    values = [int(v) for v in column]
    mean = Fraction(sum(values), len(values))
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    return float(mean), float(Fraction(isqrt(int(variance * 10**80)), 10**40))


def test_mean_and_std_are_right_to_the_last_digit(pixels):
    found = fit_pixels(pixels)
    np.testing.assert_array_equal(found.features, [0, 2, 3, 5])
    assert found.n_constant == 2
    for mean, std, feature in zip(found.mean, found.std, found.features, strict=True):
        expected_mean, expected_std = exact(pixels[:, feature])
        assert mean == expected_mean
        assert std == pytest.approx(expected_std, rel=2 * np.finfo(float).eps)


def test_the_order_of_the_images_changes_no_bit(pixels, random):
    shuffled = fit_pixels(random.permutation(pixels))
    np.testing.assert_array_equal(shuffled.mean, fit_pixels(pixels).mean)
    np.testing.assert_array_equal(shuffled.std, fit_pixels(pixels).std)


def test_kept_constant_features_are_divided_by_the_article_s_epsilon(pixels):
    found = fit_pixels(pixels, "keep")
    np.testing.assert_array_equal(found.features, np.arange(6))
    assert found.n_constant == 2
    assert found.std[[1, 4]].tolist() == [1e-9, 1e-9]
    assert found.std[0] == exact(pixels[:, 0])[1] + 1e-9


def test_images_that_are_all_alike_are_refused():
    with pytest.raises(DataError, match="no pixel varies over the 3 training images"):
        fit_pixels(np.full((3, 4), 9, np.uint8))


def test_what_is_no_grey_value_or_no_choice_is_refused(pixels):
    for dtype in ("bool", "int8", "uint16", "float64"):
        with pytest.raises(UsageError, match=f"pixels of dtype {dtype}: raw grey values in uint8"):
            fit_pixels(pixels.astype(dtype))
    with pytest.raises(UsageError, match="constant features 'kepp': choose drop or keep"):
        fit_pixels(pixels, "kepp")


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (1e6, 1), (-1e12, 1e-3), (0, 1e200), (0, 1e-200)])
def test_numbers_of_any_scale_are_measured_as_exactly(random, offset, scale):
    rows = np.insert(offset + scale * random.standard_normal((400, 3)), 1, 0.1, axis=1)
    found = fit_floats(rows)
    np.testing.assert_array_equal(found.features, [0, 2, 3])
    assert found.n_constant == 1
    columns = [[Fraction(v) for v in rows[:, feature]] for feature in found.features]
    np.testing.assert_allclose(found.mean, [float(statistics.mean(c)) for c in columns], rtol=1e-15, atol=1e-15 * scale)
    np.testing.assert_allclose(found.std, [statistics.pstdev(c) for c in columns], rtol=1e-14)


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (1e6, 1), (0, 1e200)])
def test_a_weight_counts_as_repeated_samples(random, offset, scale):
    rows = offset + scale * random.standard_normal((400, 3))
    weights = random.integers(1, 5, 400)
    found = fit_floats(rows, weights / 7)
    columns = [[Fraction(v) for v in rows[:, feature].repeat(weights)] for feature in range(3)]
    np.testing.assert_allclose(found.mean, [float(statistics.mean(c)) for c in columns], rtol=1e-15, atol=1e-15 * scale)
    np.testing.assert_allclose(found.std, [statistics.pstdev(c) for c in columns], rtol=1e-14)


LARGEST = [5e-323, 1e-315, 3e-308, 1e-300, 0.7, 1e300, 8e307, 1.7e308, np.finfo(float).max]


@pytest.mark.parametrize(
    ("shape", "largest"),
    [
        *product(["balanced", "one apart"], LARGEST),
        *product(["offset"], LARGEST[3:]),  # the smallest numbers have no digits for one
    ],
)
def test_all_that_float64_can_hold_is_standardised(random, largest, shape):
    column = {
        "balanced": random.choice([-1.0, -0.6, 0.2, 1.0], 40),
        "one apart": np.append(np.ones(39), -1.0),
        "offset": 1 - random.choice([0.0, 2**-40, 2**-45], 40),
    }[shape] * largest
    rows = np.stack([column, np.full(40, largest)], axis=1)
    found = fit_floats(rows)
    assert found.features.tolist() == [0]
    assert found.n_constant == 1
    values = [Fraction(value) for value in column]
    eps, mean, std = 2 * np.finfo(float).eps, statistics.mean(values), statistics.pstdev(values)
    # A mean or std below the normal numbers has no more digits than they leave.
    assert abs(Fraction(found.mean[0]) - mean) <= Fraction(eps) * max(map(abs, values)) + Fraction(ulp(0.0))
    assert found.std[0] == pytest.approx(std, rel=eps, abs=ulp(0.0))
    X = standardize_floats(select(rows, found.features), found.mean, found.std)
    by = Fraction(found.mean[0]), Fraction(found.std[0])
    np.testing.assert_allclose(X[0], [float((value - by[0]) / by[1]) for value in values], rtol=eps, atol=eps)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(wrong):
    with pytest.raises(DataError, match="a feature of the 2 samples is not finite in float64"):
        fit_floats(np.array([[1.0, 2.0], [2.0, wrong]]))


def test_numbers_that_are_all_alike_are_refused():
    with pytest.raises(DataError, match="no feature varies over the 3 samples"):
        fit_floats(np.full((3, 4), 0.1))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_backend_standardises_raw_pixels_alike(pixels, name, dtype):
    backend = open_or_skip(name, dtype=dtype)
    found = fit_pixels(pixels)
    program = backend.program(lambda rows, features, mean, std: standardize(select(rows, features), mean, std))
    X = backend.to_host(program(*backend.to_device((pixels, *found.arrays))))
    assert X.shape == (4, 5000)
    assert X.dtype == dtype
    expected = (pixels[:, found.features] - found.mean) / found.std
    np.testing.assert_allclose(X.T, expected, rtol=0, atol=16 * np.finfo(dtype).eps * np.abs(expected).max())


def test_numpy_keeps_a_sample_in_one_stretch_of_memory(pixels):
    features, mean, std = fit_pixels(pixels).arrays
    assert standardize(select(pixels, features), mean, std).T.flags.c_contiguous


def test_a_stack_of_microbatches_is_standardised_like_each_of_them(pixels):
    features, mean, std = fit_pixels(pixels).arrays
    X = select(pixels, features)
    stack = np.stack([X[:, :2500], X[:, 2500:]])
    np.testing.assert_array_equal(np.hstack(list(standardize(stack, mean, std))), standardize(X, mean, std))
