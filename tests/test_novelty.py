import numpy as np
import pytest
from overlap import Inside
from support import BACKENDS, open_or_skip
from threadpoolctl import threadpool_info

from ssnn.data import folder
from ssnn.model import inference
from ssnn.model.novelty import COMPONENTS, fit_novelty
from ssnn.system.blas import limit_blas


def distances_by_least_squares(others, images):
    """The distance of each of others to the hyperplane through the mean of images along their principal components."""
    mean = images.mean(axis=0)
    _, _, directions = np.linalg.svd(images - mean, full_matrices=False)
    span = directions[: min(COMPONENTS, len(images) // 2)].T
    coefficients, *_ = np.linalg.lstsq(span, (others - mean).T, rcond=None)
    return np.linalg.norm((others - mean).T - span @ coefficients, axis=0)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_novelty_score_is_a_distance_over_the_99th_percentile_of_the_class(few_digits, name, dtype):
    backend = open_or_skip(name, dtype=dtype)
    train, test = few_digits.train, few_digits.test.pixels[:10]
    found = inference.novelty_scores(backend, fit_novelty(train.pixels, train.labels), test)
    classes = [train.pixels[train.labels == label] / 255.0 for label in (0, 1)]
    ratios = [
        distances_by_least_squares(test / 255.0, images) / np.quantile(distances_by_least_squares(images, images), 0.99)
        for images in classes
    ]
    expected = np.min(ratios, axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_one_training_image_in_a_hundred_is_above_1(mnist_digits, mnist_model):
    found = mnist_model.novelty_score(mnist_digits.train.pixels)
    assert np.mean(found > 1) <= 0.01
    for label in (0, 1):
        assert (
            np.mean(mnist_model.novelty_score(mnist_digits.test.pixels[mnist_digits.test.labels == label]) > 1) < 0.02
        )


def test_other_digits_photographs_and_negatives_are_strangers(data_dir, mnist_digits, mnist_model, random):
    _, test = folder.choose(data_dir).read()
    assert np.mean(mnist_model.novelty_score(test.pixels[test.labels > 1]) > 1) > 0.8
    assert np.min(mnist_model.novelty_score(255 - mnist_digits.test.pixels[:100])) > 2
    assert np.min(mnist_model.novelty_score(random.integers(0, 256, (100, 784), np.uint8))) > 2


def test_novelty_is_fitted_with_one_thread_of_blas_which_has_the_others_back_afterwards(monkeypatch, few_digits):
    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    def watched(matrix):
        seen.update(blas_threads())
        return eigh(matrix)

    before, seen, eigh = blas_threads(), set(), np.linalg.eigh
    if not before:
        pytest.skip("this NumPy computes without a BLAS whose threads can be set")
    monkeypatch.setattr(np.linalg, "eigh", watched)
    holder = Inside(lambda: limit_blas(2))
    fit_novelty(few_digits.train.pixels, few_digits.train.labels)
    holder.leave()
    assert (seen, blas_threads()) == ({1}, before)


@pytest.mark.parametrize("counts", [(0, 1), (1, 1), (3, 200)])
def test_few_images_or_none_are_no_error(few_digits, counts, random):
    zeros, ones = (few_digits.train.pixels[few_digits.train.labels == label][:n] for label, n in enumerate(counts))
    labels = np.repeat([0, 1], [len(zeros), len(ones)]).astype(np.uint8)
    known = fit_novelty(np.concatenate([zeros, ones]), labels)
    backend = open_or_skip("numpy")
    assert np.all(inference.novelty_scores(backend, known, ones[:1]) <= 1.01)
    assert inference.novelty_scores(backend, known, random.integers(0, 256, (1, 784), np.uint8)) > 1
