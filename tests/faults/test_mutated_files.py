"""Damaged files: each is refused, or read as what it was; nothing else is raised, and no wrong answer is given."""

import gzip
from random import Random

import numpy as np
import pytest
from idx_files import idx_bytes
from PIL import Image

import ssnn
from ssnn.data import idx, pictures
from ssnn.data.dataset import SIDE
from ssnn.errors import DataError, ModelError

pytestmark = pytest.mark.slow

FORMATS = {"png": {}, "jpg": {"quality": 90}, "gif": {}, "bmp": {}, "tiff": {}, "webp": {"lossless": True}, "pgm": {}}


def mutated(content: bytes, random: Random, focus: int) -> bytes:
    """The content with one change, half of the time within its first `focus` bytes."""
    end = min(focus, len(content)) if random.random() < 0.5 else len(content)
    at = random.randrange(end)
    length = random.choice([1, 1, 2, 8, 100])
    there = content[at : at + length]
    change = random.randrange(6)
    if change == 0:
        return content[:at]
    if change == 1:
        return content[:at] + content[at + length :]
    if change == 2:
        return content[:at] + random.randbytes(length) + content[at:]
    if change == 3:
        return content[:at] + there + content[at:]
    if change == 4:
        return content[:at] + bytes(len(there)) + content[at + length :]
    return content[:at] + bytes(byte ^ random.randrange(1, 256) for byte in there) + content[at + length :]


def outcome(read, path, refusal):
    """What is read, or None, and the message of its refusal, or None; nothing else may be raised."""
    try:
        return read(path), None
    except refusal as error:
        return None, str(error)


def test_a_mutated_model_file_is_refused_or_the_same_model(tmp_path, few_digits, model, totals):
    content, random = model.read_bytes(), Random(0)
    expected = ssnn.load_model(model).logits(few_digits.test.pixels)
    header = int.from_bytes(content[:8], "little")
    refused, path, again = 0, tmp_path / "mutated", tmp_path / "again"
    for _ in range(2500):
        path.write_bytes(mutated(content, random, focus=8 + header))
        totals["mutated model files"] += 1
        found, message = outcome(ssnn.load_model, path, ModelError)
        if message is not None:
            refused += 1
            assert message.isprintable()
        else:
            np.testing.assert_array_equal(found.logits(few_digits.test.pixels), expected)
            ssnn.save_model(found, again)
            assert again.read_bytes() == content
    assert refused > 0.9 * 2500  # the others have changed blanks of the header


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_mutated_gz_file_is_refused_or_the_same_content(tmp_path, few_digits, kind, totals):
    part = few_digits.test
    read = {"images": idx.read_images, "labels": idx.read_labels}[kind]
    values = {"images": part.pixels.reshape(-1, SIDE, SIDE), "labels": part.labels}[kind]
    content, random, path = gzip.compress(idx_bytes(values)), Random(1), tmp_path / "file.gz"
    refused = 0
    for _ in range(500):
        path.write_bytes(mutated(content, random, focus=30))
        totals["mutated gz files"] += 1
        found, message = outcome(read, path, DataError)
        if message is not None:
            refused += 1
            assert message.isprintable()
        else:
            np.testing.assert_array_equal(found, values)
    assert refused > 300


@pytest.mark.parametrize("kind", FORMATS)
def test_a_mutated_picture_is_refused_or_read(tmp_path, few_digits, kind, totals):
    digit = Image.fromarray(255 - few_digits.test.pixels[0].reshape(SIDE, SIDE)).resize((90, 90))
    digit.save(tmp_path / f"whole.{kind}", **FORMATS[kind])
    content, random = (tmp_path / f"whole.{kind}").read_bytes(), Random(2)
    path = tmp_path / f"mutated.{kind}"
    for _ in range(130):
        path.write_bytes(mutated(content, random, focus=60))
        totals["mutated pictures"] += 1
        found, message = outcome(pictures.read, path, DataError)
        if message is not None:
            assert message.isprintable()
        else:
            assert found.shape == (SIDE**2,)
            assert found.dtype == np.uint8
