import hashlib

import numpy as np
import pytest

from ssnn.data import synthetic


def test_the_bits_are_the_same_everywhere():
    """Drawn once and written down: this holds other machines and NumPy versions to the same bits."""
    images, labels = synthetic.draw(50, 50, seed=0)
    found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert found == "101a7d882137b3f59004bd845268681c2fcbcc1ec4dea6dfc5285311b55d5025"


def test_images_and_labels_are_what_was_ordered():
    images, labels = synthetic.draw(300, 200, seed=3)
    assert images.shape == (500, 784)
    assert images.dtype == labels.dtype == np.uint8
    assert images.flags.c_contiguous
    assert np.bincount(labels).tolist() == [300, 200]
    assert (images.min(axis=1) == 0).all()
    assert (images.max(axis=1) > 127).all()


def test_seeds_draw_different_digits_in_different_orders():
    (images, labels), (others, other_labels) = synthetic.draw(50, 50, 0), synthetic.draw(50, 50, 1)
    assert not np.array_equal(labels, other_labels)
    assert len(np.unique(np.vstack([images, others]), axis=0)) == 200


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_size_of_the_chunks_does_not_show(monkeypatch, size):
    images, labels = synthetic.draw(30, 20, seed=0)
    monkeypatch.setattr(synthetic, "CHUNK", size)
    again, labels_again = synthetic.draw(30, 20, seed=0)
    np.testing.assert_array_equal(again, images)
    np.testing.assert_array_equal(labels_again, labels)


def test_hands_vary():
    """Slant (of the line through the ink), thickness (ink per row), height and position differ between ones."""
    images, _ = synthetic.draw(0, 500, seed=0)
    ink = images.reshape(-1, 28, 28) / 255
    rows = np.arange(28)[None, :, None]
    columns = np.arange(28)[None, None, :]
    mass = ink.sum(axis=(1, 2))
    row, column = ((ink * along).sum(axis=(1, 2)) / mass for along in (rows, columns))
    down, across = rows - row[:, None, None], columns - column[:, None, None]
    slant = -(ink * down * across).sum(axis=(1, 2)) / (ink * down * down).sum(axis=(1, 2))
    assert slant.min() < -0.2
    assert slant.max() > 0.6
    thickness = mass / (ink.max(axis=2) > 0.5).sum(axis=1)
    assert np.quantile(thickness, 0.05) < 2.3
    assert np.quantile(thickness, 0.95) > 4
    assert column.std() > 0.3
    assert row.std() > 0.3


def test_some_zeros_stay_open():
    """From outside, a closed zero keeps its inside dry: a flood fill of the paper tells the two apart."""
    images, _ = synthetic.draw(300, 0, seed=0)
    paper = images.reshape(-1, 28, 28) < 64
    wet = np.zeros_like(paper)
    wet[:, 0], wet[:, -1], wet[:, :, 0], wet[:, :, -1] = (True,) * 4
    wet &= paper
    for _ in range(28 * 28):
        spread = wet.copy()
        spread[:, 1:] |= wet[:, :-1]
        spread[:, :-1] |= wet[:, 1:]
        spread[:, :, 1:] |= wet[:, :, :-1]
        spread[:, :, :-1] |= wet[:, :, 1:]
        spread &= paper
        if (spread == wet).all():
            break
        wet = spread
    holes = (paper & ~wet).sum(axis=(1, 2)) > 0
    assert 0.05 < (~holes).mean() < 0.6


def test_nothing_ordered_is_nothing_drawn():
    images, labels = synthetic.draw(0, 0, seed=0)
    assert images.shape == (0, 784)
    assert labels.shape == (0,)
