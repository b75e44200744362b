"""What MNIST is, and where it comes from if no folder is named: caches, also of other programs, or a mirror."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ssnn.data import download, four_files, idx, npz
from ssnn.data.parts import FileSet, Part, make_part
from ssnn.errors import DataError, UsageError


@dataclass(frozen=True)
class MnistFile(download.KnownFile):
    """A gzipped file of MNIST, and the SHA-256 of what it unpacks to."""

    content_sha256: str


FILES = {  # by name, in the order that `strangers` compares
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
KERAS_VARIABLE = "KERAS_HOME"  # Keras's own
TORCHVISION_ROOT = Path("data")  # as in its documentation


class UnavailableError(DataError):
    """MNIST cannot be had here, and no place was named."""


@dataclass(frozen=True)
class Mnist:
    """MNIST's own images.

    Attributes
    ----------
    train, test : Part
    origin : str
        Where they come from, for people to read.
    obstacle : str, optional
        Why the per-user cache could not be used.
    """

    train: Part
    test: Part
    origin: str
    obstacle: str | None = None


def load(progressbar: bool = False) -> Mnist:
    """Read MNIST from the per-user cache, which is filled if need be, or from where other programs keep it.

    Parameters
    ----------
    progressbar : bool
        Whether a download draws a bar on standard error.

    Raises
    ------
    UnavailableError
        If no mirror was named, and the files are nowhere to be had.
    DataError
        If the mirror that was named cannot be used, or a file in the cache is damaged and cannot be replaced.
    UsageError
        If the mirror that SSNN_MNIST_URL names is no URL.
    """
    named = _named_mirror()
    cache = cache_folder()
    if named is None:
        with suppress(download.UnavailableError):
            return _of_files(download.obtain(FILES, cache, ()), cache)
        if (kept := _kept_by_others()) is not None:
            return kept
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
            "give the folder or file that holds it as directory, SSNN_DATA_DIR or --data-dir"
        ) from None
    return _of_files(obtained, cache)


def strangers(train: Part, test: Part) -> list[Path]:
    """The files whose images or labels are not those of MNIST, whatever format they are in; none if all are."""
    found = [(train.images_path, train.images()), (train.labels_path, train.labels)]
    found += [(test.images_path, test.images()), (test.labels_path, test.labels)]
    wrong = [
        path
        for (path, values), file in zip(found, FILES.values(), strict=True)
        if idx.sha256(values) != file.content_sha256
    ]
    return list(dict.fromkeys(wrong))


def _of_files(obtained: download.Obtained, cache: Path | None) -> Mnist:
    """The four files that were obtained, from the cache or into it."""
    paths = [(cache or Path()) / name for name in FILES]
    train, test = (
        make_part(
            "",
            idx.read_images(images, obtained.contents[images.name]),
            idx.read_labels(labels, obtained.contents[labels.name]),
            images,
            labels,
        )
        for images, labels in (paths[:2], paths[2:])
    )
    place = "in the per-user cache" if obtained.obstacle is None else f"from {', '.join(obtained.hosts)}"
    return Mnist(train, test, f"four IDX files {place}", obtained.obstacle)


def _kept_by_others() -> Mnist | None:
    """MNIST as Keras or torchvision has kept it, if it is whole: of their files, nothing else is taken."""
    for kept, place in (*_kept_by_keras(), *_kept_by_torchvision()):
        with suppress(DataError):
            train, test = kept.read()
            if not strangers(train, test):
                return Mnist(train, test, f"{kept.origin} {place}")
    return None


def _kept_by_keras() -> list[tuple[FileSet, str]]:
    try:
        home = Path(os.environ.get(KERAS_VARIABLE) or "~/.keras").expanduser()
    except RuntimeError:  # there is no home folder
        return []
    return [(npz.archive_of(home / "datasets" / "mnist.npz"), "in Keras's cache")]


def _kept_by_torchvision() -> list[tuple[FileSet, str]]:
    """It has no cache: its users name a folder, which is nearly always this one."""
    folder = TORCHVISION_ROOT / "MNIST" / "raw"
    paths = [folder / file for name in FILES for file in (name, name.removesuffix(".gz"))]
    place = f"in torchvision's folder {TORCHVISION_ROOT.name}"
    return [(files, place) for files in four_files.find(folder, filter(os.path.exists, paths))]


def cache_folder() -> Path | None:
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
