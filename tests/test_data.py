import contextlib
import gzip
import os
import re
import socket
import struct
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from idx_files import image_file, label_file, make_mnist

from ssnn import data
from ssnn.data import idx, mnist
from ssnn.errors import DataError, UsageError

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = mnist.FILES


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small data set in MNIST's four files, the test half of it plain."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / IMAGES).write_bytes(gzip.compress(image_file()))
    (folder / LABELS).write_bytes(gzip.compress(label_file()))
    (folder / TEST_IMAGES.removesuffix(".gz")).write_bytes(image_file(count=3))
    (folder / TEST_LABELS.removesuffix(".gz")).write_bytes(label_file((1, 0, 5)))
    return folder


def test_the_digits_wanted_are_selected_in_the_files_order(folder):
    digits = data.load_data("idx", folder)
    whole = np.frombuffer(image_file(), np.uint8, offset=16).reshape(6, 784)
    np.testing.assert_array_equal(digits.train.pixels, whole[[0, 1, 3, 4]])
    assert digits.train.labels.tolist() == [0, 1, 0, 1]
    assert digits.test.labels.tolist() == [1, 0]
    assert digits.name == "idx"
    assert digits.origin == "four IDX files"
    assert digits.train.pixels.flags.c_contiguous


def test_the_first_digit_named_is_class_0(folder):
    (folder / TEST_LABELS.removesuffix(".gz")).write_bytes(label_file((1, 9, 5)))
    digits = data.load_data("idx", folder, digits=np.array([9, 1]))
    assert repr(digits.classes) == "(9, 1)"
    assert digits.train.labels.tolist() == [1, 1, 0]
    assert digits.test.labels.tolist() == [1, 0]


@pytest.mark.parametrize("wrong", [(1, 1), (0, 10), (-1, 3), (5,), (0, 1, 1), (0.5, 1), "01", 5, None])
def test_digits_must_be_two_different_ones(wrong):
    with pytest.raises(UsageError, match="two different ones of 0 … 9"):
        data.load_data("synthetic", digits=wrong)


def test_an_unknown_source_is_refused():
    with pytest.raises(UsageError, match="'cifar'; choose one of auto, mnist, idx, synthetic"):
        data.load_data("cifar")


WRONG_FILES = {
    "empty": (IMAGES, b"", "truncated: 0 bytes, but the header alone takes 16"),
    "compressed data cut off": (IMAGES, gzip.compress(image_file())[:-900], "truncated: the compressed data ends"),
    "damaged compressed data": (IMAGES, flipped(gzip.compress(image_file())), "damaged .*CRC"),
    "cut off before it was compressed": (IMAGES, gzip.compress(image_file()[:-5]), "truncated: 5 bytes missing"),
    "header cut off": (LABELS, gzip.compress(label_file()[:7]), "truncated: 7 bytes, but the header alone takes 8"),
    "wrong magic": (IMAGES, gzip.compress(image_file(magic=0x801)), "magic number 0x00000801 where 0x00000803"),
    "labels where images belong": (IMAGES, gzip.compress(label_file(range(10)) + b"\0" * 9), "magic number 0x00000801"),
    "trailing bytes": (LABELS, gzip.compress(label_file() + b"ab"), "trailing bytes after the 6 that"),
    "label above 9": (LABELS, gzip.compress(label_file((0, 1, 10, 0, 1, 9))), "label 2 is 10"),
    "counts that differ": (LABELS, gzip.compress(label_file((0, 1))), f"6 images, but .*{LABELS} holds 2 labels"),
    "wrong image size": (IMAGES, gzip.compress(image_file(rows=32)), "32x28 pixels where 28x28 are expected"),
    "no image at all": (
        IMAGES,
        gzip.compress(image_file(count=0)),
        "empty: its header gives the dimensions 0 x 28 x 28",
    ),
    "images of no size": (IMAGES, gzip.compress(image_file(rows=0)), "empty: .* 6 x 0 x 28"),
    "no image of a digit": (LABELS, gzip.compress(label_file((0, 0, 2, 0, 3, 9))), "no image of a 1"),
}


@pytest.mark.parametrize("source", ["idx", "auto"])
@pytest.mark.parametrize(("name", "content", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_an_error_that_names_it_in_every_mode(folder, source, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        data.load_data(source, folder)
    assert str(folder / name) in str(error.value)


@pytest.mark.parametrize("source", ["mnist", "idx", "auto"])
def test_a_missing_file_is_an_error_that_names_it(folder, source):
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match=f"{LABELS}: missing"):
        data.load_data(source, folder)


def make_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # because the whole path may be too long for a socket
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)
    os.chdir(here)


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, os.mkfifo, make_socket, lambda path: path.symlink_to("/dev/zero")],
    ids=["folder", "pipe", "socket", "device"],
)
@pytest.mark.parametrize("name", [LABELS, LABELS.removesuffix(".gz")])
def test_what_is_no_file_is_refused_by_its_type(folder, make, name):
    (folder / LABELS).unlink()
    make(folder / name)
    with pytest.raises(DataError, match=f"{name}: a folder, pipe or device, where a file is expected"):
        data.load_data("auto", folder)
    assert idx.kind_of(folder / name) is None


def test_a_dangling_link_and_a_loop_of_links_are_told(folder):
    (folder / LABELS).unlink()
    (folder / LABELS).symlink_to(folder / "gone")
    with pytest.raises(DataError, match=f"{LABELS}: missing"):
        data.load_data("auto", folder)
    (folder / LABELS).unlink()
    (folder / LABELS).symlink_to(folder / LABELS)
    with pytest.raises(DataError, match=f"{LABELS}: cannot be read"):
        data.load_data("auto", folder)


def test_no_more_is_unpacked_than_the_header_promises(tmp_path):
    path = tmp_path / IMAGES
    path.write_bytes(gzip.compress(image_file() + bytes(1 << 26), 1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="trailing bytes after the 4704 that its header promises"):
            idx.read_images(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gzipped", "plain"])
def test_what_memory_cannot_hold_is_refused_before_it_is_read(tmp_path, monkeypatch, compress):
    path = tmp_path / (IMAGES if compress is gzip.compress else "images")
    path.write_bytes(compress(image_file()))
    monkeypatch.setattr(idx, "free_memory", lambda: 4704)
    assert len(idx.read_images(path)) == 6
    monkeypatch.setattr(idx, "free_memory", lambda: 4703)
    with pytest.raises(DataError, match="promises 4,704 bytes, but 4,703 are all the memory there is"):
        idx.read_images(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_byte_of_a_gzipped_file_is_refused_or_harmless(tmp_path, draw):
    content = bytearray(gzip.compress(image_file()))
    position = draw.draw(st.integers(0, len(content) - 1))
    content[position] ^= draw.draw(st.integers(1, 255))
    path = tmp_path / IMAGES
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        assert idx.read_images(path).tobytes() == image_file()[16:]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize(
    ("read", "content", "header"), [(idx.read_images, image_file(), 16), (idx.read_labels, label_file(), 8)]
)
def test_a_flipped_byte_of_a_plain_header_is_refused(tmp_path, read, content, header, draw):
    content = bytearray(content)
    content[draw.draw(st.integers(0, header - 1))] ^= draw.draw(st.integers(1, 255))
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0, 1, 28, 2**16, 2**32 - 1]) | st.integers(0, 2**32 - 1), min_size=3, max_size=3))
def test_no_dimensions_of_a_header_end_in_another_error(tmp_path, dimensions):
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">4I", idx.IMAGES_MAGIC, *dimensions) + b"\1")
    if dimensions != [1, 1, 1]:
        with pytest.raises(DataError, match=str(path)):
            idx.read_images(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gzipped", "plain"])
def test_a_truncated_file_is_refused(tmp_path, compress, draw):
    content = compress(image_file())
    path = tmp_path / (IMAGES if compress is gzip.compress else IMAGES.removesuffix(".gz"))
    path.write_bytes(content[: draw.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DataError, match=str(path)):
        idx.read_images(path)


def test_blocks_of_images_are_the_file_s_and_no_longer_than_asked_for(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(image_file())
    blocks = list(idx.image_blocks(path, 4, 28))
    assert [block.shape for block in blocks] == [(4, 28, 28), (2, 28, 28)]
    assert b"".join(block.tobytes() for block in blocks) == image_file()[16:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (image_file()[:-5], "truncated: 5 bytes missing of the 4704 that"),
        (image_file()[: 16 + 2 * 784 + 1], "truncated: 3135 bytes missing of the 4704 that"),
        (image_file() + b"x", "trailing bytes after the 4704 that"),
        (image_file(rows=27), "images of 27x28 pixels, where 28x28 are known"),
        (image_file(columns=29), "images of 28x29 pixels, where 28x28 are known"),
        (label_file(range(10)) + b"\0" * 9, "magic number 0x00000801 where 0x00000803"),
    ],
)
def test_a_wrong_file_of_images_is_refused_by_its_blocks_too(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(idx.image_blocks(path, 4, 28))


@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gzipped", "plain"])
def test_files_of_the_format_are_known_by_their_beginning(tmp_path, compress):
    path = tmp_path / (IMAGES if compress is gzip.compress else "images")
    for content, kind in ((image_file(), "images"), (label_file(), "labels"), (b"\0\0\0\3", None), (b"\0\0", None)):
        path.write_bytes(compress(content))
        assert idx.kind_of(path) == kind


def test_without_mnist_auto_draws_digits_and_warns_the_caller_why():
    with pytest.warns(UserWarning, match="synthetic digits: .* because MNIST is not in .*--data-dir") as warned:
        digits = data.load_data()
    assert [record.filename for record in warned] == [__file__]
    assert digits.name == "synthetic"
    assert digits.origin == "drawn by the program, because MNIST cannot be had"
    with pytest.raises(DataError, match=r"MNIST is not in .*--data-dir"):
        data.load_data("mnist")


UNUSABLE = {
    "missing": (lambda path: None, "{0}: there is no such folder; MNIST's four IDX files are wanted"),
    "a file": (lambda path: path.write_text("x"), "{0}: not a file of digits that is known; MNIST's four IDX files"),
    "a pipe": (os.mkfifo, "{0}: neither a folder nor an ordinary file; "),
    "empty": (Path.mkdir, "{0}: the folder is empty; MNIST's four IDX files are wanted"),
    "others": (
        lambda path: [(path / name).mkdir(parents=True) for name in "edcba"],
        "{0}: the folder holds only a, b, c and 2 more; ",
    ),
    "part of them": (
        lambda path: [path.mkdir(), (path / TEST_LABELS).write_text("x")],
        f"{{0}}/{IMAGES}: missing, gzipped or plain; of the four IDX files, there is only {TEST_LABELS}",
    ),
}


@pytest.mark.parametrize("source", ["auto", "mnist", "idx"])
@pytest.mark.parametrize("is_argument", [True, False], ids=["argument", "variable"])
@pytest.mark.parametrize(("make", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_named_folder_without_usable_files_is_never_replaced(
    tmp_path, monkeypatch, cache, source, is_argument, make, message
):
    make_mnist(cache, monkeypatch)  # which would do
    path = tmp_path / "named"
    make(path)
    if not is_argument:
        monkeypatch.setenv("SSNN_DATA_DIR", str(path))
    with pytest.raises(DataError) as error:
        data.load_data(source, path if is_argument else None)
    assert str(error.value).startswith(message.format(path))
    assert ("SSNN_DATA_DIR" in str(error.value)) != is_argument


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "nul\0", "\ud800"], ids=["name", "path", "nul", "surrogate"])
def test_a_folder_that_no_system_could_have_is_one_printable_line(name):
    with pytest.raises(DataError, match="cannot be read") as error:
        data.load_data("auto", name)
    assert str(error.value).isprintable()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="every folder can be read here")
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_an_unreadable_folder_is_told(folder, mode):
    folder.chmod(mode)
    try:
        with pytest.raises(DataError, match="cannot be read"):
            data.load_data("auto", folder)
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize("is_argument", [True, False], ids=["argument", "variable"])
def test_the_home_folder_s_sign_is_expanded(folder, monkeypatch, is_argument):
    monkeypatch.setenv("HOME", str(folder.parent))
    name = f"~/{folder.name}"
    if not is_argument:
        monkeypatch.setenv("SSNN_DATA_DIR", name)
    assert data.load_data("idx", name if is_argument else None).name == "idx"
    assert data.data_directory(name if is_argument else None) == folder


def test_a_home_folder_that_nobody_has_is_told():
    with pytest.raises(DataError, match="~no-such-user/data: there is no such home folder"):
        data.load_data("auto", "~no-such-user/data")


def test_an_empty_variable_names_no_folder_and_an_empty_argument_is_a_mistake(monkeypatch):
    monkeypatch.setenv("SSNN_DATA_DIR", "")
    assert data.data_directory() is None
    with pytest.raises(UsageError, match="name of the data's folder is empty"):
        data.load_data("auto", "")


def test_the_argument_goes_before_the_variable(folder, monkeypatch):
    monkeypatch.setenv("SSNN_DATA_DIR", "/no/such/folder")
    assert data.load_data("idx", folder).name == "idx"


def test_synthetic_digits_take_no_folder_that_was_named_for_them(folder, monkeypatch):
    with pytest.raises(UsageError, match=f"drawn and not read from {folder}: leave the folder out"):
        data.load_data("synthetic", folder)
    monkeypatch.setenv("SSNN_DATA_DIR", "/no/such/folder")  # which is for those who read files
    assert data.load_data("synthetic").name == "synthetic"


def test_files_of_one_s_own_need_their_folder():
    with pytest.raises(DataError, match="need the folder that they are in"):
        data.load_data("idx")


REPACKED = {
    "as it is": lambda path: None,
    "compressed anew": lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=1)),
    "plain": lambda path: [
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes())),
        path.unlink(),
    ],
}


@pytest.mark.parametrize("source", ["auto", "mnist"])
@pytest.mark.parametrize("repack", REPACKED.values(), ids=REPACKED)
@pytest.mark.parametrize("name", mnist.FILES)
def test_mnist_is_known_by_its_checksums(tmp_path, monkeypatch, source, repack, name):
    make_mnist(tmp_path, monkeypatch)
    repack(tmp_path / name)
    assert data.load_data(source, tmp_path).name == "mnist"
    assert data.load_data("idx", tmp_path).name == "idx"


@pytest.mark.parametrize("repack", [REPACKED["compressed anew"], REPACKED["plain"]], ids=["gzipped", "plain"])
@pytest.mark.parametrize("name", mnist.FILES)
def test_what_is_not_mnist_is_not_called_so(tmp_path, monkeypatch, repack, name):
    make_mnist(tmp_path, monkeypatch)
    content = bytearray(gzip.decompress((tmp_path / name).read_bytes()))
    content[-1] ^= 1
    (tmp_path / name).write_bytes(gzip.compress(content))
    repack(tmp_path / name)
    stranger = name if (tmp_path / name).exists() else name.removesuffix(".gz")
    origin = f"four IDX files (unverified: not MNIST's checksum: {stranger})"
    told = f"^{re.escape(f'idx digits: {tmp_path}: {origin}')}$"
    with pytest.warns(UserWarning, match=told) as warned:
        digits = data.load_data("auto", tmp_path)
    assert [record.filename for record in warned] == [__file__]
    assert digits.name == "idx"
    assert digits.origin == origin
    with pytest.raises(DataError, match=f"{tmp_path / stranger}: not MNIST's own.*--data idx takes it"):
        data.load_data("mnist", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load_data("idx", tmp_path).origin == "four IDX files"


@pytest.mark.parametrize("name", mnist.FILES)
def test_the_known_checksums_are_mnist_s(data_dir, tmp_path, name):
    for other in mnist.FILES:
        (tmp_path / other).symlink_to(data_dir / other)
    assert (data_dir / name).stat().st_size == mnist.FILES[name].size
    assert data.load_data("mnist", tmp_path).name == "mnist"
    (tmp_path / name).unlink()
    (tmp_path / name.removesuffix(".gz")).write_bytes(gzip.decompress((data_dir / name).read_bytes()))
    assert data.load_data("mnist", tmp_path).name == "mnist"


def test_other_digits_than_0_and_1_need_mnist():
    with pytest.raises(DataError, match="synthetic digits are 0 and 1 only, not 3 and 8"):
        data.load_data("auto", digits=(3, 8))


def test_synthetic_digits_have_mnist_s_counts():
    digits = data.load_data("synthetic")
    assert np.bincount(digits.train.labels).tolist() == [5923, 6742]
    assert np.bincount(digits.test.labels).tolist() == [980, 1135]
    swapped = data.load_data("synthetic", digits=(1, 0))
    np.testing.assert_array_equal(swapped.train.labels, 1 - digits.train.labels)
    np.testing.assert_array_equal(swapped.train.pixels, digits.train.pixels)
