"""A user's own images: checked, and made plain, where they come in."""

import dataclasses

import numpy as np
import pytest
from support import import_or_skip

from ssnn.data import Dataset, Samples, load_arrays
from ssnn.data.dataset import check_trainable
from ssnn.data.memmap import load_memmap, save_memmap
from ssnn.errors import DataError, UsageError
from ssnn.model.serialization import load_model, save_model
from ssnn.settings import Settings
from ssnn.training.trainer import fit

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 784), dtype=np.uint8)
LABELS = np.array([0, 1, 1, 0, 1, 0], np.uint8)
SAMPLES = Samples(PIXELS, LABELS)


def in_pandas(array):
    pandas = import_or_skip("pandas")
    return pandas.DataFrame(array) if array.ndim == 2 else pandas.Series(array)


def on_another_device(array):
    """As on a GPU, from which NumPy takes nothing unasked."""
    xp = import_or_skip("array_api_strict")
    return xp.asarray(array, device=xp.Device("device1"))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda array: array[::-1].copy()[::-1], id="reversed"),
        pytest.param(lambda array: np.repeat(array, 2, axis=0)[::2], id="every second"),
        pytest.param(np.asfortranarray, id="fortran"),
        pytest.param(list, id="list"),
        pytest.param(in_pandas, id="pandas"),
        pytest.param(lambda array: import_or_skip("jax.numpy").asarray(array), id="jax", marks=pytest.mark.jax),
        pytest.param(lambda array: import_or_skip("torch").tensor(array), id="torch", marks=pytest.mark.torch),
        pytest.param(on_another_device, id="device", marks=pytest.mark.strict),
    ],
)
def test_arrays_of_any_form_become_plain(form):
    samples = Samples(form(PIXELS), form(LABELS))
    for found, expected in ((samples.pixels, PIXELS), (samples.labels, LABELS)):
        assert type(found) is np.ndarray
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected)
    assert samples.sha256() == SAMPLES.sha256()


@pytest.mark.parametrize("labels", [LABELS.tolist(), LABELS == 1, LABELS.astype(float), LABELS.astype(">i4")])
def test_images_may_be_square_and_labels_any_zeros_and_ones(labels):
    samples = Samples(PIXELS.reshape(-1, 28, 28), labels)
    np.testing.assert_array_equal(samples.pixels, PIXELS)
    np.testing.assert_array_equal(samples.labels, LABELS)
    assert samples.labels.dtype == np.uint8


def test_memory_mapped_images_are_not_copied(tmp_path):
    save_memmap(Dataset("some", "", (0, 1), SAMPLES, SAMPLES, 0.0), tmp_path)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert np.shares_memory(Samples(mapped.reshape(-1, 28, 28), LABELS).pixels, mapped)
    digits = load_memmap(tmp_path, "some", samples=4)
    np.testing.assert_array_equal(digits.train.pixels, PIXELS[:4])
    assert len(digits.test) == 0


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (
            PIXELS / 255,
            LABELS,
            r"images of float64: grey values 0 … 255 .*; np\.rint\(255 \* images\)\.astype\(np\.uint8\)",
        ),
        (PIXELS > 9, LABELS, r"images of bool: .*; np\.uint8\(255\) \* images"),
        (PIXELS.astype(int), LABELS, r"images of int64: .*; images\.astype\(np\.uint8\) makes them of whole numbers"),
        (PIXELS.astype(object), LABELS, "images of object: grey values 0 … 255 in a uint8 array are needed$"),
        ([PIXELS[0], PIXELS[1, :9]], LABELS, "images of type list: no NumPy array can be made of them"),
        (None, LABELS, "images of object"),
        (np.ma.masked_equal(PIXELS, 0), LABELS, r"images are a masked array: images\.filled"),
        (PIXELS[:, :64], LABELS, r"images \(6, 64\): \(m, 28, 28\) or \(m, 784\) is needed"),
        (PIXELS[0].reshape(28, 28), LABELS, r"images \(28, 28\)"),
        (PIXELS, np.where(LABELS, 8, 3), "labels 3 and 8: class 0 and class 1 are needed, for instance labels == 8$"),
        (PIXELS, LABELS + 1, "labels 1 and 2: .* labels == 2$"),
        (PIXELS, LABELS * 255, "labels 0 and 255: .* labels == 255$"),
        (PIXELS, LABELS * 2 - 1.0, "labels -1.0 and 1.0: .* labels == 1.0$"),
        (PIXELS, LABELS / 2, "labels 0.0 and 0.5: "),
        (PIXELS, np.full(6, 3), "labels 3: class 0 and class 1 are needed$"),
        (PIXELS, range(6), "labels 0, 1, 2, …: class 0 and class 1 are needed$"),
        (PIXELS, np.where(LABELS, np.nan, 0), "labels 0.0 and nan: class 0 and class 1 are needed$"),
        (PIXELS, list("010101"), "labels of <U1: the numbers 0 and 1 are needed"),
        (PIXELS, LABELS[:, None], r"labels \(6, 1\): \(m,\) is needed"),
        (PIXELS, 1, r"labels \(\): \(m,\) is needed"),
        (PIXELS, np.ma.masked_equal(LABELS, 0), "labels are a masked array"),
        (PIXELS, LABELS[:5], "5 labels of 6 images: one for each is needed"),
        (PIXELS[:0], LABELS, "6 labels of 0 images"),
    ],
)
def test_what_are_no_samples_is_refused_by_name(pixels, labels, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        Samples(pixels, labels)


@pytest.mark.torch
def test_what_a_library_does_not_hand_out_is_refused_in_its_words():
    torch = import_or_skip("torch")
    with pytest.raises(UsageError, match=r"images of type Tensor: no NumPy array .*detach\(\)"):
        Samples(torch.zeros((1, 784), requires_grad=True), [0])


def test_samples_and_data_sets_are_equal_to_themselves_and_can_be_keys():
    digits, other = (Dataset("mine", "/home/ada", (3, 8), Samples(PIXELS, LABELS), SAMPLES, 0.0) for _ in range(2))
    assert digits == digits
    assert digits != other
    assert digits.train != other.train
    assert len({digits, other, digits.train, other.train, digits.test, SAMPLES}) == 5
    assert digits.train.sha256() == other.train.sha256()


def test_representations_fit_a_line_and_name_no_folder():
    many = Samples(np.zeros((12665, 784), np.uint8), np.arange(12665) < 6742)
    assert repr(many) == "Samples(12,665 images: 5,923 of class 0, 6,742 of class 1)"
    digits = Dataset("mine", "/home/ada", (3, 8), many, SAMPLES, 0.0)
    assert repr(digits) == "Dataset(mine, 3 or 8: 12,665 training and 6 test images)"


ALL_LABELS = np.array([8, 3, 5, 8, 0, 3])


@pytest.mark.parametrize(
    "form", [lambda y: y, lambda y: y.tolist(), lambda y: y.astype(float), lambda y: y.astype(np.int8), in_pandas]
)
def test_of_arrays_the_images_of_two_digits_are_taken_with_their_labels_as_they_are(form):
    digits = load_arrays(PIXELS.reshape(-1, 28, 28), form(ALL_LABELS), PIXELS[:2], form(ALL_LABELS[:2]), classes=(3, 8))
    assert repr(digits) == "Dataset(arrays, 3 or 8: 4 training and 2 test images)"
    np.testing.assert_array_equal(digits.train.pixels, PIXELS[[0, 1, 3, 5]])
    assert digits.train.labels.tolist() == [1, 0, 1, 0]
    assert digits.test.labels.tolist() == [1, 0]
    assert digits.classes == (3, 8)


def test_what_is_trained_on_arrays_predicts_their_digits(tmp_path):
    model = fit(load_arrays(PIXELS, ALL_LABELS, PIXELS, ALL_LABELS, (8, 3)), settings=Settings(iterations=200))
    save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model").predict(PIXELS[[0, 1, 3, 5]]).tolist() == [8, 3, 8, 3]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": PIXELS / 255}, UsageError, r"X: images of float64: .*np\.rint"),
        ({"X_test": PIXELS[:, :9]}, UsageError, r"X_test: images \(6, 9\)"),
        ({"y": ALL_LABELS[:5]}, UsageError, r"y \(5,\): \(6,\) is needed, one label for each of X"),
        ({"y": np.eye(6)}, UsageError, r"y \(6, 6\): \(6,\) is needed"),
        ({"y_test": ALL_LABELS.astype(str)}, UsageError, r"y_test of <U21: numbers are needed; y_test\.astype\(int\)"),
        ({"y": np.ma.masked_equal(ALL_LABELS, 3)}, UsageError, "y are a masked array"),
        ({"classes": (3, 3)}, UsageError, r"classes \(3, 3\): two different digits 0 … 9 are needed"),
        ({"classes": ("cat", "dog")}, UsageError, r"classes \('cat', 'dog'\): .* y == b and y_test == b are labels"),
        ({"classes": (3, 11)}, UsageError, r"classes \(3, 11\): "),
        ({"classes": (3, 7)}, DataError, "y: no image of a 7"),
        ({"y_test": np.full(6, 3)}, DataError, "y_test: no image of a 8"),
    ],
)
def test_what_are_no_arrays_of_digits_is_refused_by_name(change, error, message):
    whole = {"X": PIXELS, "y": ALL_LABELS, "X_test": PIXELS, "y_test": ALL_LABELS, "classes": (3, 8)}
    with pytest.raises(error, match=f"^{message}"):
        load_arrays(**whole | change)


def test_a_data_set_keeps_plain_values():
    digits = Dataset(np.str_("mine"), "\x1b[31mred\n", np.array([3, 8]), SAMPLES, SAMPLES, np.float32(1.5))
    assert digits.classes == (3, 8)
    assert [type(value) for value in (digits.name, digits.seconds, *digits.classes)] == [str, float, int, int]
    assert digits.origin == "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "my\ndigits"}, "a data set of the name 'my.*digits': 1 … 100 printable characters are needed"),
        ({"name": "\u202egnp"}, "1 … 100 printable characters"),
        ({"name": ""}, "1 … 100 printable characters"),
        ({"name": "x" * 101}, "1 … 100 printable characters"),
        ({"name": None}, "1 … 100 printable characters"),
        ({"classes": (3, 3)}, "digits 3, 3: two different ones of 0 … 9 are needed"),
        ({"classes": (0, 10)}, "digits 0, 10: "),
        ({"classes": ("a", "b")}, "digits a, b: "),
        ({"classes": 3}, "digits 3: "),
        ({"classes": (0.0, 1.0)}, "digits 0.0, 1.0: "),
        ({"train": (PIXELS, LABELS)}, r"train is of type tuple: ssnn.Samples\(pixels, labels\) is needed"),
        ({"test": None}, "test is of type NoneType"),
        ({"seconds": float("nan")}, "seconds nan: a number from 0 on"),
        ({"seconds": "soon"}, "seconds 'soon': a number from 0 on"),
    ],
)
def test_what_is_no_data_set_is_refused(change, message):
    whole = {"name": "mine", "origin": "", "classes": (0, 1), "train": SAMPLES, "test": SAMPLES, "seconds": 0.0}
    with pytest.raises(UsageError, match=message):
        Dataset(**whole | change)


@pytest.mark.parametrize(
    ("part", "chosen", "message"),
    [
        ("train", LABELS == 0, "the training images are all 3s: images of 8 and of 3 are needed"),
        ("train", LABELS == 1, "the training images are all 8s: images of 3 and of 8 are needed"),
        ("train", LABELS > 1, "there is no training image: images of 3 and of 8 are needed"),
        ("test", LABELS > 1, "there is no test image"),
    ],
)
def test_a_network_needs_images_of_both_digits(part, chosen, message):
    digits = Dataset("mine", "", (3, 8), SAMPLES, SAMPLES, 0.0)
    check_trainable(digits)
    with pytest.raises(DataError, match=message):
        check_trainable(dataclasses.replace(digits, **{part: Samples(PIXELS[chosen], LABELS[chosen])}))


def test_a_network_learns_from_nothing_but_a_data_set():
    with pytest.raises(UsageError, match=r"data of type tuple: ssnn\.load_data\(\) or ssnn\.Dataset"):
        check_trainable((PIXELS, LABELS))


def test_what_is_trained_on_one_s_own_images_can_be_saved_and_loaded(tmp_path):
    digits = Dataset("mine", "from\nhere", (np.int64(8), np.uint8(3)), SAMPLES, SAMPLES, np.float32(0))
    model = fit(digits, settings=Settings((np.int32(3),), np.float32(0.5), np.int64(2), np.uint8(7)))
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert (loaded.data, loaded.settings, loaded.costs) == (model.data, model.settings, model.costs)
    np.testing.assert_array_equal(loaded.predict(PIXELS), model.predict(PIXELS))
