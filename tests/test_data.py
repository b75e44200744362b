import contextlib
import gzip
import http.server
import shutil
import struct
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssnn import data
from ssnn.data import idx, mnist
from ssnn.errors import DataError, UsageError

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = mnist.FILES


def image_file(count=6, rows=28, columns=28, magic=idx.IMAGES_MAGIC):
    pixels = np.random.RandomState(0).randint(0, 256, count * rows * columns).astype(np.uint8)
    return struct.pack(">4I", magic, count, rows, columns) + pixels.tobytes()


def label_file(labels=(0, 1, 2, 0, 1, 9), magic=idx.LABELS_MAGIC):
    return struct.pack(">2I", magic, len(labels)) + bytes(labels)


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
    digits = data.load_data("mnist", folder)
    whole = np.frombuffer(image_file(), np.uint8, offset=16).reshape(6, 784)
    np.testing.assert_array_equal(digits.train.pixels, whole[[0, 1, 3, 4]])
    assert digits.train.labels.tolist() == [0, 1, 0, 1]
    assert digits.test.labels.tolist() == [1, 0]
    assert digits.name == "mnist"
    assert digits.origin == str(folder)
    assert digits.train.pixels.flags.c_contiguous


def test_the_first_digit_named_is_class_0(folder):
    (folder / TEST_LABELS.removesuffix(".gz")).write_bytes(label_file((1, 9, 5)))
    digits = data.load_data("mnist", folder, digits=(9, 1))
    assert digits.train.labels.tolist() == [1, 1, 0]
    assert digits.test.labels.tolist() == [1, 0]


@pytest.mark.parametrize("wrong", [(1, 1), (0, 10), (-1, 3), (5,), (0, 1, 1)])
def test_digits_must_be_two_different_ones(wrong):
    with pytest.raises(UsageError, match="two different ones of 0 … 9"):
        data.load_data("synthetic", digits=wrong)


def test_an_unknown_source_is_refused():
    with pytest.raises(UsageError, match="'cifar'; choose one of auto, mnist, synthetic"):
        data.load_data("cifar")


WRONG_FILES = {
    "not gzip": (IMAGES, image_file(), "not a gzip file"),
    "empty": (IMAGES, b"", "truncated: 0 bytes, but the header alone takes 16"),
    "compressed data cut off": (IMAGES, gzip.compress(image_file())[:-900], "truncated: the compressed data ends"),
    "damaged compressed data": (IMAGES, flipped(gzip.compress(image_file())), "damaged .*CRC"),
    "cut off before it was compressed": (IMAGES, gzip.compress(image_file()[:-5]), "truncated: 5 bytes missing"),
    "header cut off": (LABELS, gzip.compress(label_file()[:7]), "truncated: 7 bytes, but the header alone takes 8"),
    "wrong magic": (IMAGES, gzip.compress(image_file(magic=0x801)), "magic number 0x00000801 where 0x00000803"),
    "labels where images belong": (IMAGES, gzip.compress(label_file(range(10)) + b"\0" * 9), "magic number 0x00000801"),
    "trailing bytes": (LABELS, gzip.compress(label_file() + b"ab"), "2 trailing bytes"),
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


@pytest.mark.parametrize("source", ["mnist", "auto"])
@pytest.mark.parametrize(("name", "content", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_an_error_that_names_it_in_every_mode(folder, source, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        data.load_data(source, folder)
    assert str(folder / name) in str(error.value)


@pytest.mark.parametrize("source", ["mnist", "auto"])
def test_a_missing_file_is_an_error_that_names_it(folder, source):
    (folder / LABELS).unlink()
    with pytest.raises(DataError, match=f"{LABELS}: missing"):
        data.load_data(source, folder)


def test_an_unreadable_file_is_an_error_that_names_it(folder):
    (folder / LABELS).unlink()
    (folder / LABELS).mkdir()
    with pytest.raises(DataError, match=f"{LABELS}: cannot be read"):
        data.load_data("auto", folder)


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


def test_without_mnist_auto_draws_digits_and_says_why():
    digits = data.load_data("auto")
    assert digits.name == "synthetic"
    assert "because MNIST is not in" in digits.origin
    with pytest.raises(DataError, match=r"MNIST is not in .*--data-dir"):
        data.load_data("mnist")


def test_a_folder_without_any_of_the_files_is_named(tmp_path):
    with pytest.raises(DataError, match=f"MNIST is not in {tmp_path} or "):
        data.load_data("mnist", tmp_path)


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


class QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Serve a folder on this machine; returns its address."""
    servers = []

    def start(folder):
        server = QuietServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache" / "ssnn" / "mnist"


def test_mnist_is_downloaded_once_from_a_mirror_that_has_it(data_dir, serve, cache, monkeypatch, tmp_path):
    nothing, damaged = tmp_path / "nothing", tmp_path / "damaged"
    nothing.mkdir()
    shutil.copytree(data_dir, damaged)
    (damaged / LABELS).write_bytes((data_dir / LABELS).read_bytes()[:-1])
    monkeypatch.setattr(mnist, "MIRRORS", (serve(nothing), serve(damaged), serve(data_dir)))
    downloaded = data.load_data("auto")
    assert downloaded.name == "mnist"
    assert downloaded.origin == str(cache)
    assert sorted(path.name for path in cache.iterdir()) == sorted(mnist.FILES)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    np.testing.assert_array_equal(data.load_data("auto").train.pixels, data.load_data("mnist", data_dir).train.pixels)


def test_a_download_that_fails_leaves_nothing_behind(folder, serve, cache, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (serve(folder),))
    with pytest.raises(DataError, match=r"127.0.0.1.*wrong SHA-256"):
        data.load_data("mnist")
    assert list(cache.iterdir()) == []


def test_a_mirror_that_refuses_is_told(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (serve(tmp_path), "http://127.0.0.1:9/"))
    with pytest.raises(DataError, match=r"HTTP status 404.*127.0.0.1:9: no connection"):
        data.load_data("mnist")


def test_a_cache_that_cannot_be_written_is_told(folder, serve, cache, monkeypatch):
    cache.parent.mkdir(parents=True)
    cache.write_text("in the way")
    monkeypatch.setattr(mnist, "MIRRORS", (serve(folder),))
    with pytest.raises(DataError, match=rf"{cache} cannot be written \(\w.*"):
        data.load_data("mnist")


@pytest.mark.parametrize("source", ["mnist", "auto"])
def test_a_damaged_file_in_the_cache_is_an_error(cache, source):
    cache.mkdir(parents=True)
    (cache / LABELS).write_bytes(gzip.compress(label_file()))
    with pytest.raises(DataError, match=f"{cache / LABELS}: damaged.*delete it"):
        data.load_data(source)


def test_a_mirror_that_never_answers_is_given_up(monkeypatch):
    """A name lookup that hangs is stood for by a request that never returns."""
    import requests

    over = threading.Event()

    def hang(*_, **__):
        over.wait()
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", hang)
    monkeypatch.setattr(mnist, "CONNECT_SECONDS", 0.05)
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    with pytest.raises(DataError, match="no answer in 0 s"):
        data.load_data("mnist")
    over.set()
