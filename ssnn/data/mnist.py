"""What MNIST's four files are, and where they come from: a folder of the user's, the per-user cache, or a mirror."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from ssnn.data import download, idx
from ssnn.data.dataset import SIDE
from ssnn.data.reading import open_file
from ssnn.errors import DataError, UsageError
from ssnn.system.files import reason


@dataclass(frozen=True)
class MnistFile(download.KnownFile):
    """A gzipped file of MNIST, and the SHA-256 of what it unpacks to."""

    content_sha256: str


FILES = {  # by name, in the order that _read unpacks
    "train-images-idx3-ubyte.gz": MnistFile(
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte.gz": MnistFile(
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte.gz": MnistFile(
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte.gz": MnistFile(
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
URL_VARIABLE = "SSNN_MNIST_URL"  # names a mirror of the user's own
WANTED = "MNIST's four files are wanted, gzipped or plain: " + ", ".join(name.removesuffix(".gz") for name in FILES)
SHOWN = 3  # names of other files in a folder


class UnavailableError(DataError):
    """MNIST cannot be had here, and no place was named."""


@dataclass(frozen=True)
class Part:
    """The training or the test half of the images, in the files' order.

    Attributes
    ----------
    pixels : uint8 array (m, 784)
    labels : uint8 array (m,), 0 … 9
    labels_path : Path
        The file that says which digits there are.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    labels_path: Path

    def images(self) -> npt.NDArray[np.uint8]:
        """The pixels as they stand in the file, (m, 28, 28)."""
        return self.pixels.reshape(-1, SIDE, SIDE)


@dataclass(frozen=True)
class Mnist:
    """Images in MNIST's four files.

    Attributes
    ----------
    train, test : Part
    origin : str
        Where they come from, for people to read.
    strangers : tuple of Path
        Files that are not MNIST's own, but have their names.
    obstacle : str, optional
        Why the per-user cache could not be used.
    """

    train: Part
    test: Part
    origin: str
    strangers: tuple[Path, ...] = ()
    obstacle: str | None = None


def load(directory: Path | None = None, progressbar: bool = False) -> Mnist:
    """Read the four files in a folder, or else MNIST's own from the cache, which is filled from a mirror if need be.

    Parameters
    ----------
    directory : Path, optional
        A folder with files of these names, gzipped or plain.
    progressbar : bool
        Whether a download draws a bar on standard error.

    Raises
    ------
    UnavailableError
        If neither a folder nor a mirror was named, and the files are nowhere to be had.
    DataError
        If what was named cannot be used, or a file is wrong.
    UsageError
        If the mirror that SSNN_MNIST_URL names is no URL.
    """
    return _of_cache(progressbar) if directory is None else _of_folder(directory)


def files_of(folder: Path) -> list[Path]:
    """The names under which the four files are looked for in a folder, plain or gzipped."""
    return [folder / file for name in FILES for file in (name.removesuffix(".gz"), name)]


def _of_folder(folder: Path) -> Mnist:
    paths = _find(folder)
    train, test = _read(paths)
    values = [images_or_labels for part in (train, test) for images_or_labels in (part.images(), part.labels)]
    strangers = [
        path for (name, path), each in zip(paths.items(), values, strict=True) if not _is_own(path, FILES[name], each)
    ]
    return Mnist(train, test, str(folder), tuple(strangers))


def _of_cache(progressbar: bool) -> Mnist:
    named = _named_mirror()
    cache = _cache()
    try:
        obtained = download.obtain(FILES, cache, MIRRORS if named is None else [named], named is not None, progressbar)
    except download.UnavailableError as error:
        if error.damaged:
            raise DataError(
                f"{error.damaged[0]}: damaged: its SHA-256 is not that of MNIST, and it cannot be downloaded anew "
                f"({error}); delete it"
            ) from None
        if named is not None:
            raise DataError(f"MNIST cannot be downloaded from where {URL_VARIABLE} says ({error})") from None
        raise UnavailableError(
            f"MNIST is not in {cache or 'a cache'} and cannot be downloaded ({error}); "
            "give the folder of its four files as directory, SSNN_DATA_DIR or --data-dir"
        ) from None
    folder = cache or Path()
    train, test = _read({name: folder / name for name in FILES}, obtained.contents)
    origin = str(cache) if obtained.obstacle is None else ", ".join(obtained.hosts)
    return Mnist(train, test, origin, obstacle=obtained.obstacle)


def _cache() -> Path | None:
    """The folder of the per-user cache; None where the user has no home folder."""
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("ssnn", appauthor=False)
    except RuntimeError:
        return None
    return folder / "mnist" if folder.is_absolute() else None  # older versions of platformdirs leave the ~ as it is


def _named_mirror() -> str | None:
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return None
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
        _ = parts.port  # which is checked when it is asked for
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UsageError(
            f"{URL_VARIABLE} is {url!r}; give the http or https URL of the folder of MNIST's four .gz files"
        )
    return url.rstrip("/") + "/"


def _find(folder: Path) -> dict[str, Path]:
    """The four files in a folder, each gzipped or plain."""
    candidates = [(name, folder / file) for name in FILES for file in (name.removesuffix(".gz"), name)]
    found = {name: path for name, path in candidates if _exists(path)}  # of two, the gzipped one
    if not found:
        raise DataError(f"{folder}: {_what_is_there(folder)}; {WANTED}")
    for name in FILES:
        if name not in found:
            there = ", ".join(path.name for path in found.values())
            raise DataError(f"{folder / name}: missing, gzipped or plain; of MNIST's four files, there is only {there}")
    return found


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from None
    return True


def _what_is_there(folder: Path) -> str:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return "there is no such folder"
    except NotADirectoryError:
        return "a file, not a folder"
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"the folder holds only {', '.join(names[:SHOWN])}{more}" if names else "the folder is empty"


def _read(paths: Mapping[str, Path], contents: Mapping[str, bytes] | None = None) -> tuple[Part, Part]:
    train_images, train_labels, test_images, test_labels = (
        (paths[name], None if contents is None else contents[name]) for name in FILES
    )
    return _read_part(*train_images, *train_labels), _read_part(*test_images, *test_labels)


def _read_part(
    images_path: Path, images_content: bytes | None, labels_path: Path, labels_content: bytes | None
) -> Part:
    images, labels = idx.read_images(images_path, images_content), idx.read_labels(labels_path, labels_content)
    if images.shape[1:] != (SIDE, SIDE):
        height, width = images.shape[1:]
        raise DataError(f"{images_path}: images of {height}x{width} pixels where {SIDE}x{SIDE} are expected")
    if len(images) != len(labels):
        raise DataError(f"{images_path}: {len(images)} images, but {labels_path} holds {len(labels)} labels")
    return Part(images.reshape(len(images), -1), labels, labels_path)


def _is_own(path: Path, file: MnistFile, values: npt.NDArray[np.uint8]) -> bool:
    """Whether this is MNIST's own file; where its sum as it is, gzipped, says so, that of its content is not needed."""
    with open_file(path) as stream:
        if file.is_whole(stream.read(file.size + 1)):
            return True
    return idx.sha256(values) == file.content_sha256
