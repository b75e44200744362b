"""Where MNIST's four files come from: a folder of the user's, the per-user cache, or a mirror."""

import hashlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from ssnn.data import idx
from ssnn.data.dataset import SIDE
from ssnn.errors import DataError

FILES = {  # name: SHA-256, in the order that _read unpacks
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
CONNECT_SECONDS = 3.0  # how long all mirrors together may take to answer: an offline start must stay quick
READ_SECONDS = 30.0  # how long a mirror that did answer may fall silent


class UnavailableError(DataError):
    """MNIST cannot be had here: no file of it is wrong, there just is none."""


@dataclass(frozen=True)
class Part:
    """The training or the test half of MNIST, in the files' order.

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


@dataclass(frozen=True)
class Mnist:
    """The whole data set and the folder it was read from."""

    train: Part
    test: Part
    folder: Path


def load(directory: Path | None = None, progressbar: bool = False) -> Mnist:
    """Read MNIST from `directory` if it is there, else from the cache, which is filled from a mirror if need be.

    Parameters
    ----------
    directory : Path, optional
        A folder with the four files, gzipped or plain.
    progressbar : bool
        Whether a download draws a bar on standard error.

    Raises
    ------
    UnavailableError
        If the files are nowhere to be had.
    DataError
        If a file is there but wrong.
    """
    if directory is not None and any(_find(directory, name) for name in FILES):
        return _read(directory)
    cache = _cache()
    missing = []
    for name in FILES:
        if (cache / name).exists():
            _check_hash(cache / name)
        else:
            missing.append(name)
    if missing:
        searched = [str(folder) for folder in (directory, cache) if folder is not None]
        _download(missing, cache, searched, progressbar)
    return _read(cache)


def _read(folder: Path) -> Mnist:
    train_images, train_labels, test_images, test_labels = (_find(folder, name) or folder / name for name in FILES)
    return Mnist(_read_part(train_images, train_labels), _read_part(test_images, test_labels), folder)


def _read_part(images_path: Path, labels_path: Path) -> Part:
    images, labels = idx.read_images(images_path), idx.read_labels(labels_path)
    if images.shape[1:] != (SIDE, SIDE):
        height, width = images.shape[1:]
        raise DataError(f"{images_path}: images of {height}x{width} pixels where {SIDE}x{SIDE} are expected")
    if len(images) != len(labels):
        raise DataError(f"{images_path}: {len(images)} images, but {labels_path} holds {len(labels)} labels")
    return Part(images.reshape(len(images), -1), labels, labels_path)


def _find(folder: Path, name: str) -> Path | None:
    """The file of this name in the folder, gzipped or plain."""
    for path in (folder / name, folder / name.removesuffix(".gz")):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        return path
    return None


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("ssnn", appauthor=False) / "mnist"


def _check_hash(path: Path) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if found != FILES[path.name]:
        raise DataError(f"{path}: damaged: its SHA-256 is not that of MNIST; delete it to have it downloaded anew")


def _download(names: list[str], cache: Path, searched: list[str], progressbar: bool) -> None:
    """Bring these files into the cache, each whole and with the right hash, or raise `UnavailableError`."""
    mirrors, failures = _ask(MIRRORS, names[0])
    for name in names:
        for mirror in mirrors:
            try:
                _retrieve(mirror, name, cache, progressbar)
                break
            except _RetrieveError as error:
                failures.append(f"{_host(mirror)}: {name}: {error}")
        else:
            raise UnavailableError(
                f"MNIST is not in {' or '.join(searched)} and cannot be downloaded ({'; '.join(failures)}); "
                "give the folder of its four files with --data-dir"
            )


def _ask(mirrors: Iterable[str], name: str) -> tuple[list[str], list[str]]:
    """Ask all mirrors at once for this file: those that serve it, in their order, and why the others do not."""
    import requests

    answers = dict.fromkeys(mirrors, f"no answer in {CONNECT_SECONDS:.0f} s")

    def ask(mirror: str) -> None:
        try:
            requests.head(mirror + name, timeout=CONNECT_SECONDS, allow_redirects=True).raise_for_status()
            answers[mirror] = ""
        except (requests.RequestException, OSError) as error:  # the latter for certificates that are not there
            answers[mirror] = _reason(error)

    # Threads, because a name lookup has no time limit of its own; daemons, so that none outlives the program.
    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in answers]
    deadline = time.monotonic() + CONNECT_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    failures = {mirror: failure for mirror, failure in answers.items() if failure}
    willing = [mirror for mirror in answers if mirror not in failures]
    return willing, [f"{_host(mirror)}: {failure}" for mirror, failure in failures.items()]


class _RetrieveError(Exception):
    """Why one file could not be had from one mirror."""


def _retrieve(mirror: str, name: str, cache: Path, progressbar: bool) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=progressbar, timeout=(CONNECT_SECONDS, READ_SECONDS))
    try:
        pooch.retrieve(mirror + name, f"sha256:{FILES[name]}", fname=name, path=cache, downloader=downloader)
    except requests.RequestException as error:
        raise _RetrieveError(_reason(error)) from None
    except OSError as error:
        raise _RetrieveError(f"{cache} cannot be written ({error.strerror or error})") from None
    except ValueError:
        raise _RetrieveError("wrong SHA-256") from None


def _reason(error: OSError) -> str:
    import requests

    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.RequestException):
        return "no connection"
    return str(error)


def _host(mirror: str) -> str:
    return urlsplit(mirror).netloc
