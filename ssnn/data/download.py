"""Files of known size and checksum: from a cache, else downloaded from a mirror and kept there.

A mirror may be silent, slow or hostile. So the time that it may take and the bytes that it may send are limited, and
nothing goes from memory to disk before its checksum is right: a download that is killed leaves nothing.
"""

import hashlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ssnn.data.reading import MissingError, open_file
from ssnn.errors import DataError, SsnnError
from ssnn.system.files import atomic_write, reason

if TYPE_CHECKING:
    from requests import Response

ANSWER_SECONDS = 3.0  # how long all mirrors together may take to answer: an offline start must stay quick
SILENCE_SECONDS = 30.0  # how long a mirror may fall silent
TOTAL_SECONDS = 120.0  # for all files, where the run can do without: MNIST's 11.6 MB need a line of 100 kB/s
PATIENT_SECONDS = 600.0  # where it cannot: 20 kB/s
CHUNK = 1 << 13  # bytes, after which a download sees that it is no longer waited for
REFRESH_SECONDS = 0.1  # of the progress bar


@dataclass(frozen=True)
class KnownFile:
    """What is known of a file: its size in bytes and its SHA-256 in hexadecimal digits."""

    size: int
    sha256: str

    def is_whole(self, content: bytes) -> bool:
        """Whether this is the file's content."""
        return len(content) == self.size and hashlib.sha256(content).hexdigest() == self.sha256


@dataclass(frozen=True)
class Obtained:
    """Files that were obtained.

    Attributes
    ----------
    contents : {name: bytes}
    hosts : tuple of str
        The mirrors that gave what the cache lacked.
    obstacle : str, optional
        Why the cache could not be used.
    """

    contents: dict[str, bytes]
    hosts: tuple[str, ...]
    obstacle: str | None


class UnavailableError(Exception):
    """A file is neither in the cache nor on a mirror; says why.

    Attributes
    ----------
    damaged : list of Path
        Files of the cache that are not whole.
    """

    def __init__(self, reasons: Iterable[str], damaged: list[Path]) -> None:
        super().__init__("; ".join(reasons))
        self.damaged = damaged


def obtain(
    files: Mapping[str, KnownFile],
    cache: Path | None,
    mirrors: Sequence[str],
    patient: bool = False,
    progressbar: bool = False,
) -> Obtained:
    """Take files from the cache, and those that it lacks from the first mirror that has them.

    Parameters
    ----------
    files : {name: KnownFile}
    cache : Path, optional
        A folder. Where there is none, or it cannot be used, what is downloaded is not kept.
    mirrors : sequence of str
        URLs of folders, with a slash at the end.
    patient : bool
        Whether mirrors have ten minutes; otherwise those that do not answer quickly are left out.
    progressbar : bool
        Whether a download draws a bar on standard error.

    Raises
    ------
    UnavailableError
        If a file can be had neither here nor there.
    """
    contents, damaged, obstacle = _cached(files, cache)
    missing = [name for name in files if name not in contents]
    if not missing:
        return Obtained(contents, (), obstacle)
    seconds = PATIENT_SECONDS if patient else TOTAL_SECONDS
    deadline = time.monotonic() + seconds
    willing, failures = (list(mirrors), []) if patient else _ask(mirrors, missing[0])
    hosts = []
    for name in missing:
        for mirror in willing:
            try:
                contents[name] = _retrieve(mirror + name, files[name], deadline, progressbar)
            except TimeoutError:
                failures.append(f"{_host(mirror)}: {name}: not whole after {seconds:.0f} s")
            except _RetrieveError as error:
                failures.append(f"{_host(mirror)}: {name}: {error}")
            else:
                break
        else:
            raise UnavailableError([*failures, *([obstacle] if obstacle else [])], damaged)
        hosts.append(_host(mirror))
        if cache is not None and obstacle is None:
            obstacle = _keep(cache / name, contents[name])
    return Obtained(contents, tuple(dict.fromkeys(hosts)), obstacle)


def _cached(files: Mapping[str, KnownFile], cache: Path | None) -> tuple[dict[str, bytes], list[Path], str | None]:
    """What the cache has of these files, the files in it that are not whole, and why it cannot be used."""
    if cache is None:
        return {}, [], "there is no home folder with a cache"
    contents, damaged, obstacle = {}, [], None
    for name, file in files.items():
        try:
            with open_file(cache / name) as stream:
                content = stream.read(file.size + 1)
        except MissingError:
            continue
        except DataError as error:
            obstacle = str(error)
            continue
        if file.is_whole(content):
            contents[name] = content
        else:
            damaged.append(cache / name)
    return contents, damaged, obstacle


def _keep(path: Path, content: bytes) -> str | None:
    """Write a file of the cache; returns why it cannot be written, if it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as write:
            write(content)
    except OSError as error:
        return f"{path.parent} cannot be made ({reason(error)})"
    except SsnnError as error:
        return str(error)
    return None


def _ask(mirrors: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """Ask all mirrors at once for this file: those that serve it, in their order, and why the others do not."""
    import requests

    answers = dict.fromkeys(mirrors, f"no answer in {ANSWER_SECONDS:.0f} s")

    def ask(mirror: str) -> None:
        try:
            requests.head(mirror + name, timeout=ANSWER_SECONDS, allow_redirects=True).raise_for_status()
            answers[mirror] = ""
        except Exception as error:  # whatever an answer makes the library stumble over
            answers[mirror] = _reason(error)

    # Threads, because a name lookup has no time limit of its own; daemons, so that none outlives the program.
    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in answers]
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        for thread in threads:
            _start(thread)
    except _RetrieveError as error:
        return [], [str(error)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    failures = {mirror: failure for mirror, failure in answers.items() if failure}
    willing = [mirror for mirror in answers if mirror not in failures]
    return willing, [f"{_host(mirror)}: {failure}" for mirror, failure in failures.items()]


class _RetrieveError(Exception):
    """Why one file could not be had from one mirror."""


def _retrieve(url: str, file: KnownFile, deadline: float, progressbar: bool) -> bytes:
    from tqdm import tqdm

    name = url.rpartition("/")[2]
    download = _Download(url, file.size)
    with tqdm(total=file.size, desc=name, unit="B", unit_scale=True, leave=False, disable=not progressbar) as bar:
        _start(download)
        try:
            while download.is_alive():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                download.join(min(REFRESH_SECONDS, left))
                bar.update(len(download.received) - bar.n)
        finally:
            download.is_wanted = False
    if download.failure is not None:
        raise _RetrieveError(download.failure)
    content = bytes(download.received)
    if not file.is_whole(content):
        raise _RetrieveError("wrong SHA-256")
    return content


class _Download(threading.Thread):
    """One file from one mirror.

    A thread, because neither a name lookup nor an answer that comes byte by byte has a time limit of its own; a
    daemon, so that it does not outlive the program.

    Attributes
    ----------
    received : bytearray
        What has come so far.
    failure : str, optional
        Why there will be no more.
    is_wanted : bool
        Whether anybody still waits for it.
    """

    def __init__(self, url: str, size: int) -> None:
        super().__init__(daemon=True)
        self.received = bytearray()
        self.failure: str | None = None
        self.is_wanted = True
        self._url = url
        self._size = size

    def run(self) -> None:
        """Read the answer's body."""
        try:
            self._read()
        except Exception as error:  # whatever an answer makes the library stumble over
            self.failure = _reason(error)

    def _read(self) -> None:
        import requests

        as_it_is = {"Accept-Encoding": "identity"}
        hooks = {"response": _without_redirect_body}
        with requests.get(self._url, headers=as_it_is, timeout=SILENCE_SECONDS, stream=True, hooks=hooks) as response:
            response.raise_for_status()
            while self.is_wanted and (chunk := _chunk(response)):
                self.received += chunk
                if len(self.received) > self._size:
                    raise _RetrieveError(f"more than its {self._size} bytes")


def _chunk(response: "Response") -> bytes:
    """The next bytes of the body; they are not unpacked, whatever the answer says of them."""
    try:
        chunk: bytes = response.raw.read(CHUNK, decode_content=False)
    except Exception:  # of the libraries below requests
        raise _RetrieveError("the connection broke, or fell silent") from None
    return chunk


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:  # of a process that may start no more
        raise _RetrieveError(f"a download needs a thread, which cannot be started ({error})") from None


def _without_redirect_body(response: "Response", **_: object) -> None:
    """Close an answer that only leads elsewhere: requests would read its body to the end, however long it is."""
    if response.is_redirect:
        response.close()


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error) or type(error).__name__


def _host(mirror: str) -> str:
    return urlsplit(mirror).netloc.rpartition("@")[2]  # without a password
