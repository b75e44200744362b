"""Data sets as other programs keep them: whatever holds MNIST's images is MNIST, wherever they lie."""

import gzip
import os
import struct
import zipfile

import numpy as np
import pytest
from idx_files import LABELS, idx_bytes, image_file, label_file, make_mnist

from ssnn import data
from ssnn.data import csv_files, folder, mnist, npz
from ssnn.errors import DataError

IMAGES = np.frombuffer(image_file(), np.uint8, offset=16).reshape(-1, 28, 28)
ARRAYS = {"x_train": IMAGES, "y_train": np.array(LABELS), "x_test": IMAGES[:3], "y_test": np.array([1, 0, 5], np.uint8)}
FILES = {  # by MNIST's own names, without -idx3-ubyte
    "train-images": image_file(),
    "train-labels": label_file(),
    "t10k-images": image_file(3),
    "t10k-labels": label_file((1, 0, 5)),
}


@pytest.fixture(autouse=True)
def known(tmp_path, monkeypatch):
    """What the arrays hold, is known as MNIST in these tests."""
    make_mnist(tmp_path / "known", monkeypatch)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def write_four(place, name="{}-idx{}-ubyte", pack=bytes):
    place.mkdir(parents=True, exist_ok=True)
    for role, content in FILES.items():
        (place / name.format(role, 3 if "images" in role else 1)).write_bytes(pack(content))


def write_npz(place, name="mnist.npz", **changes):
    place.mkdir(parents=True, exist_ok=True)
    with (place / name).open("wb") as file:
        np.savez_compressed(file, **ARRAYS | changes)


def write_csv(path, images, labels=None, header=True, end="\n"):
    rows = images.reshape(len(images), -1)
    rows = rows if labels is None else np.column_stack([labels, rows])
    names = ",".join(["label"] * (labels is not None) + [f"pixel{i}" for i in range(784)])
    path.write_text("".join(f"{line}{end}" for line in [names][: int(header)] + [",".join(map(str, r)) for r in rows]))


def write_both_csv(place, header=True, end="\n"):
    write_csv(place / "mnist_train.csv", IMAGES, LABELS, header, end)
    write_csv(place / "mnist_test.csv", ARRAYS["x_test"], ARRAYS["y_test"], header, end)


def write_raw(place):
    """As torchvision leaves it: packed, and unpacked beside it."""
    write_four(place / "MNIST" / "raw", "{}-idx{}-ubyte")
    write_four(place / "MNIST" / "raw", "{}-idx{}-ubyte.gz", gzip.compress)


def write_folders(place):
    """Each file in a folder of its own name."""
    write_four(place)
    for path in [*place.iterdir()]:
        content = path.read_bytes()
        path.unlink()
        path.mkdir()
        (path / path.name).write_bytes(content)


SAME = {
    "as 7-Zip unpacks them": (lambda place: write_four(place, "{}.idx{}-ubyte"), ""),
    "unpacked, and called gzipped": (lambda place: write_four(place, "{}-idx{}-ubyte.gz"), ""),
    "gzipped, and called plain": (lambda place: write_four(place, "{}-idx{}-ubyte", gzip.compress), ""),
    "names without a format": (lambda place: write_four(place, "{}"), ""),
    "folders of their names": (write_folders, ""),
    "torchvision's root": (write_raw, ""),
    "torchvision's folder": (write_raw, "MNIST"),
    "torchvision's raw": (write_raw, "MNIST/raw"),
    "one of four files": (write_four, "t10k-labels-idx1-ubyte"),
    "Keras's folder": (write_npz, ""),
    "Keras's file": (write_npz, "mnist.npz"),
    "an archive in Fortran order": (lambda place: write_npz(place, x_test=np.asfortranarray(IMAGES[:3])), ""),
    "an archive of another name": (lambda place: write_npz(place, "digits"), "digits"),
    "CSV": (write_both_csv, ""),
    "CSV without names": (lambda place: write_both_csv(place, header=False), ""),
    "CSV with a mark and Windows' line ends": (lambda place: write_both_csv(place, end="\r\n"), ""),
    "CSV by a file": (write_both_csv, "mnist_test.csv"),
}


@pytest.mark.parametrize(("write", "name"), SAME.values(), ids=SAME)
def test_the_same_images_are_mnist_in_every_format(place, write, name):
    write(place)
    digits = data.load_data("mnist", place / name)
    assert digits.name == "mnist"
    np.testing.assert_array_equal(digits.train.pixels, IMAGES[[0, 1, 3, 4]].reshape(4, -1))
    assert digits.train.labels.tolist() == [0, 1, 0, 1]
    assert digits.test.labels.tolist() == [1, 0]
    assert str(place.parent) not in digits.origin
    found = {path for path in data.data_files(place / name) if path.is_file()}
    assert found == {path for path in place.rglob("*") if path.is_file()}


def test_a_byte_order_mark_is_no_part_of_the_first_value(place):
    write_both_csv(place, header=False)
    for path in place.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert data.load_data("mnist", place).name == "mnist"


def test_qmnist_s_labels_are_the_first_of_eight_columns(place):
    columns = np.arange(48, dtype=">i4").reshape(6, 8)
    columns[:, 0] = LABELS
    labels = struct.pack(">3I", 0xC02, *columns.shape) + columns.tobytes()
    for half in ("train", "test"):
        (place / f"qmnist-{half}-images-idx3-ubyte").write_bytes(image_file())
        (place / f"qmnist-{half}-labels-idx2-int.gz").write_bytes(gzip.compress(labels))
    digits = data.load_data("idx", place)
    assert digits.origin == "four IDX files, qmnist"
    assert digits.test.labels.tolist() == [0, 1, 0, 1]
    (place / "qmnist-test-labels-idx2-int.gz").write_bytes(struct.pack(">3I", 0xC02, 6, 4) + columns.tobytes()[:96])
    with pytest.raises(DataError, match=r"qmnist-test-labels-idx2-int\.gz: labels of 4 columns, where QMNIST has 8"):
        data.load_data("idx", place)


def test_emnist_s_images_are_turned(place):
    for half in ("train", "test"):
        (place / f"emnist-mnist-{half}-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES.transpose(0, 2, 1)))
        (place / f"emnist-mnist-{half}-labels-idx1-ubyte").write_bytes(label_file())
    np.testing.assert_array_equal(data.load_data("idx", place).train.pixels[0], IMAGES[0].ravel())


@pytest.mark.parametrize("source", ["auto", "idx"])
def test_without_labels_for_testing_every_seventh_image_is_left_out_of_training(place, source):
    images = np.random.default_rng(0).integers(0, 256, (30, 784), np.uint8)
    labels = np.arange(30) % 2
    write_csv(place / "train.csv", images, labels)
    write_csv(place / "test.csv", images[:5])
    with pytest.warns(UserWarning, match=f"^idx digits: {place}: train.csv, every seventh image of it for testing"):
        digits = data.load_data(source, place)
    assert digits.origin.startswith("train.csv, every seventh image of it for testing because test.csv has no labels")
    np.testing.assert_array_equal(digits.test.pixels, images[[6, 13, 20, 27]])
    np.testing.assert_array_equal(digits.train.pixels, np.delete(images, [6, 13, 20, 27], axis=0))
    assert {place / "train.csv", place / "test.csv"} < set(data.data_files(place))


def test_of_several_files_of_one_role_that_with_the_shortest_name_is_read(place):
    write_both_csv(place)
    write_csv(place / "mnist_train-more.csv", IMAGES, LABELS)
    assert folder.choose(place).origin == "mnist_train.csv and mnist_test.csv"


def test_too_few_images_are_not_split(place):
    write_csv(place / "train.csv", IMAGES, LABELS)
    with pytest.raises(DataError, match=r"train\.csv: 6 images are too few to leave some of them for testing"):
        data.load_data("auto", place)


def test_of_several_formats_the_order_decides(place):
    write_both_csv(place)
    assert folder.choose(place).origin == "mnist_train.csv and mnist_test.csv"
    write_npz(place)
    assert folder.choose(place).origin == "mnist.npz"
    write_raw(place)
    assert folder.choose(place).origin == "mnist.npz"  # a folder's own files come first
    write_four(place)
    assert folder.choose(place).origin == "four IDX files"
    (place / "t10k-images-idx3-ubyte").unlink()
    assert folder.choose(place).origin == "mnist.npz"


@pytest.mark.parametrize("names", [["mnist.npz", "other.npz"], ["MNIST/raw", "KMNIST/raw"]])
def test_two_data_sets_of_one_kind_are_refused_by_name(place, names):
    for name in names:
        if name.endswith(".npz"):
            write_npz(place, name)
        else:
            write_four(place / name)
    with pytest.raises(DataError, match=r"several data sets, with the files .*; name one of these") as error:
        data.load_data("auto", place)
    assert all(name in str(error.value) for name in names)
    assert data.load_data("auto", place / names[0]).name == "mnist"


def zipped(**members):
    def write(place):
        with zipfile.ZipFile(place / "mnist.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ARRAYS:
                with archive.open(f"{name}.npy", "w") as file:
                    if name in members:
                        file.write(members[name])
                    else:
                        np.lib.format.write_array(file, ARRAYS[name])

    return write


def npy(shape, dtype="|u1"):
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


WRONG_ARCHIVES = {
    "no array": (lambda place: np.savez(place / "mnist.npz", x=IMAGES), "no x_train in it; x_train, y_train"),
    "damaged": (lambda place: (place / "mnist.npz").write_bytes(b"PK\3\4" + bytes(99)), r"cannot be read \(File is"),
    "floats": (lambda place: write_npz(place, x_train=IMAGES / 255), "x_train is of float64: whole numbers"),
    "other sizes": (lambda place: write_npz(place, x_test=IMAGES[:3, :8, :8]), "images of 8x8 pixels where 28x28"),
    "too few labels": (lambda place: write_npz(place, y_test=np.array([1, 0])), "3 images, but .* holds 2 labels"),
    "labels of a row each": (lambda place: write_npz(place, y_test=np.eye(3, dtype=int)), r"labels \(3, 3\) of int64"),
    "no digit": (lambda place: write_npz(place, y_test=np.array([1, -1, 5])), "label 1 is -1, but a digit is 0 … 9"),
    "a pickle": (lambda place: write_npz(place, y_test=np.array([1, None, 5])), "y_test is of object"),
    "short": (zipped(x_test=npy((3, 28, 28)) + bytes(9)), "x_test has not the 2352 bytes that its header promises"),
    "long": (zipped(x_test=npy((3, 28, 28)) + bytes(2353)), "x_test has not the 2352 bytes"),
    "vast": (zipped(x_test=npy((1 << 40, 28, 28))), "x_test promises 862,017,116,176,384 bytes, but"),
    "negative": (zipped(x_test=npy((-1, 28, 28))), r"cannot be read \(an array of the shape \(-1, 28, 28\)\)"),
    "a header that is a program": (zipped(x_test=npy("exit()")), "cannot be read"),
}


@pytest.mark.parametrize(("write", "message"), WRONG_ARCHIVES.values(), ids=WRONG_ARCHIVES)
def test_a_wrong_archive_is_one_line_that_names_it(place, write, message):
    write(place)
    with pytest.raises(DataError, match=f"mnist.npz: {message}") as error:
        data.load_data("auto", place / "mnist.npz")
    assert str(error.value).isprintable()


def test_a_pickled_archive_beside_the_data_is_passed_over(place):
    write_npz(place)
    np.savez(place / "imdb.npz", **ARRAYS | {"x_train": np.array([[1], [2, 3]], dtype=object)})
    assert data.load_data("mnist", place).name == "mnist"


WRONG_CSV = {
    "a value too large": ("5," + "0," * 783 + "256\n", "not whole numbers 0 … 255 in 785 columns"),
    "a negative one": ("5," + "0," * 783 + "-1\n", "not whole numbers"),
    "a fraction": ("5," + "0," * 783 + "0.5\n", "not whole numbers"),
    "text": ("5," + "0," * 783 + "x\n", "not whole numbers"),
    "a short row": ("5" + ",0" * 784 + "\n5,0\n", "not whole numbers"),
    "no row": ("label" + ",pixel" * 784 + "\n", "not whole numbers"),
    "no text": ("label" + ",pixel" * 784 + "\n\xff", "not whole numbers"),
    "other columns": ("5,0,0\n", "3 columns where 785 are expected: the label, then the pixels"),
    "no digit": ("11" + ",0" * 784 + "\n", "label 0 is 11"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_CSV.values(), ids=WRONG_CSV)
def test_a_wrong_csv_file_is_one_line_that_names_it(place, text, message):
    (place / "train.csv").write_bytes(text.encode("latin-1"))
    write_csv(place / "test.csv", IMAGES, LABELS)
    with pytest.raises(DataError, match=f"{place / 'train.csv'}: {message}") as error:
        data.load_data("auto", place / "train.csv")
    assert str(error.value).isprintable()


def test_a_csv_file_of_images_to_name_is_no_data_set(place):
    write_csv(place / "test.csv", IMAGES)
    with pytest.raises(DataError, match=r"images is missing; there is only test\.csv"):
        data.load_data("auto", place)


@pytest.mark.parametrize(("module", "write"), [(npz, write_npz), (csv_files, write_both_csv)])
def test_what_memory_cannot_hold_is_refused_before_it_is_read(place, monkeypatch, module, write):
    write(place)
    monkeypatch.setattr(module, "free_memory", lambda: 4703)
    with pytest.raises(DataError, match="but 4,703 are all the memory there is"):
        data.load_data("auto", place)


@pytest.mark.parametrize("name", ["train.csv", "mnist.npz", "train-images"])
def test_no_pipe_is_waited_for(place, name):
    os.mkfifo(place / name)
    with pytest.raises(DataError, match=f"{place}: the folder holds only {name}; MNIST's four IDX files are wanted"):
        data.load_data("auto", place)


def keep_by_keras(tmp_path, **changes):
    write_npz(tmp_path / "keras" / "datasets", **changes)


def keep_by_torchvision(tmp_path, **changes):
    write_raw(tmp_path / "torchvision")
    for path in (tmp_path / "torchvision" / "MNIST" / "raw").glob("t10k-images*") if changes else ():
        path.write_bytes(image_file(3)[:-1] + b"\1")


@pytest.mark.parametrize(
    ("keep", "origin"),
    [
        (keep_by_keras, "mnist.npz in Keras's cache"),
        (keep_by_torchvision, "four IDX files in torchvision's folder torchvision"),
    ],
)
def test_mnist_is_taken_from_the_caches_of_other_programs_and_nothing_else(tmp_path, monkeypatch, keep, origin):
    keep(tmp_path)
    for source in ("auto", "mnist"):
        digits = data.load_data(source)
        assert (digits.name, digits.origin) == ("mnist", origin)
    monkeypatch.setenv("SSNN_MNIST_URL", "http://127.0.0.1:9/")  # what is named is not replaced
    with pytest.raises(DataError, match="from where SSNN_MNIST_URL says"):
        data.load_data("auto")
    monkeypatch.delenv("SSNN_MNIST_URL")
    keep(tmp_path, x_test=IMAGES[3:])
    with pytest.warns(UserWarning, match="synthetic digits: drawn by the program, because MNIST is not in"):
        assert data.load_data("auto").name == "synthetic"


def test_ssnn_s_own_cache_goes_before_those_of_others(tmp_path, cache, monkeypatch):
    keep_by_keras(tmp_path)
    make_mnist(cache, monkeypatch)
    assert data.load_data("auto").origin == "four IDX files in the per-user cache"


def test_the_real_mnist_in_keras_s_archive_is_known(data_dir, tmp_path, monkeypatch):
    monkeypatch.undo()  # of what stands in for MNIST
    train, test = folder.choose(data_dir).read()
    np.savez(tmp_path / "m.npz", x_train=train.images(), y_train=train.labels, x_test=test.images(), y_test=test.labels)
    digits = data.load_data("mnist", tmp_path / "m.npz")
    assert digits.name == "mnist"
    assert (np.bincount(digits.train.labels).tolist(), len(mnist.FILES)) == ([5923, 6742], 4)


@pytest.mark.parametrize("end", [50, -30])
def test_a_damaged_archive_in_a_folder_is_named_and_a_whole_one_beside_it_is_read(tmp_path, end):
    write_npz(tmp_path)
    content = (tmp_path / "mnist.npz").read_bytes()
    (tmp_path / "mnist.npz").write_bytes(content[:end])
    with pytest.raises(DataError, match=r"mnist\.npz: cannot be read"):
        data.load_data("idx", tmp_path)
    (tmp_path / "other.npz").write_bytes(content)
    assert data.load_data("idx", tmp_path).origin == "other.npz"
