"""MNIST from the cache and from mirrors: kind, slow, hostile and absent ones."""

import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from idx_files import make_mnist

from ssnn import data
from ssnn.data import download, mnist
from ssnn.errors import DataError, UsageError

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = mnist.FILES


class FolderHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        """A reader that goes away is what these tests are about."""


@pytest.fixture
def serve():
    """Serve a folder, or with a handler of one's own, on this machine; returns its address."""
    servers = []

    def start(handler):
        if isinstance(handler, Path):
            handler = partial(FolderHandler, directory=str(handler))
        server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A folder of what is known as MNIST in this test."""
    make_mnist(tmp_path / "files", monkeypatch)
    return tmp_path / "files"


@pytest.fixture
def nothing(tmp_path) -> Path:
    (tmp_path / "nothing").mkdir()
    return tmp_path / "nothing"


def test_mnist_is_downloaded_once_from_a_mirror_that_has_it(files, nothing, serve, cache, monkeypatch, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(files, damaged)
    (damaged / LABELS).write_bytes((files / LABELS).read_bytes()[:-1])
    monkeypatch.setattr(mnist, "MIRRORS", (serve(nothing), serve(damaged), serve(files)))
    downloaded = data.load_data("auto")
    assert downloaded.name == "mnist"
    assert downloaded.origin == "four IDX files in the per-user cache"
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == {
        path.name: path.read_bytes() for path in files.iterdir()
    }
    monkeypatch.setattr(mnist, "MIRRORS", ())
    np.testing.assert_array_equal(data.load_data("auto").train.pixels, data.load_data("mnist", files).train.pixels)


def test_a_download_draws_its_progress_where_it_is_wanted(files, serve, monkeypatch, capfd, cache):
    monkeypatch.setenv("SSNN_MNIST_URL", serve(files))
    data.load_data("mnist")
    assert capfd.readouterr().err == ""
    shutil.rmtree(cache)
    data.load_data("mnist", progressbar=True)
    assert all(name in capfd.readouterr().err for name in [IMAGES])


def test_a_download_that_fails_leaves_nothing_behind(files, serve, cache, monkeypatch):
    (files / IMAGES).write_bytes((files / TEST_IMAGES).read_bytes())
    monkeypatch.setattr(mnist, "MIRRORS", (serve(files),))
    with pytest.raises(DataError, match=r"127.0.0.1.*wrong SHA-256"):
        data.load_data("mnist")
    assert not cache.exists()


def test_a_mirror_that_refuses_is_told(nothing, serve, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", (serve(nothing), "http://127.0.0.1:9/"))
    with pytest.raises(DataError, match=r"HTTP status 404.*127.0.0.1:9: no connection"):
        data.load_data("mnist")


def test_a_mirror_that_never_answers_is_given_up(monkeypatch):
    """A name lookup that hangs is stood for by a request that never returns."""
    import requests

    over = threading.Event()

    def hang(*_, **__):
        over.wait()
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", hang)
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    with pytest.raises(DataError, match="no answer in 0 s"):
        data.load_data("mnist")
    over.set()


def send(handler, content, status=200, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def drip(handler, content, over):
    """Send a byte now and then for as long as the reader is there."""
    handler.wfile.write(content)
    while not over.wait(0.01):
        handler.wfile.write(b"a")


def flood(handler, content):
    """Send far more than a file has."""
    for _ in range(1000):
        handler.wfile.write(content)


def drip_body(handler, over):
    send(handler, b"", Content_Length="1000000")
    drip(handler, b"", over)


def drip_headers(handler, over):
    drip(handler, b"HTTP/1.1 200 OK\r\nServer: ", over)


def fall_silent(handler, over):
    send(handler, b"abc", Content_Length="1000000")
    over.wait()


def flood_without_length(handler, over):
    send(handler, b"")
    flood(handler, bytes(1 << 16))


def flood_with_chunks(handler, over):
    handler.protocol_version = "HTTP/1.1"
    send(handler, b"", Transfer_Encoding="chunked")
    flood(handler, b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def flood_with_the_length_of_a_chunk(handler, over):
    handler.protocol_version = "HTTP/1.1"
    send(handler, b"", Transfer_Encoding="chunked")
    flood(handler, b"0" * (1 << 16))


def end_early(handler, over):
    send(handler, b"abc", Content_Length="1000000")


def lead_to_a_file(handler, over):
    send(handler, b"", status=302, Location="file:///etc/passwd")


def lead_in_a_circle(handler, over):
    send(handler, b"", status=302, Location=handler.path)


def answer_nonsense(handler, over):
    handler.wfile.write(b"\xff\x1b[31m\0\r\n\r\n")


HOSTILE = {
    drip_body: "not whole after 0 s",
    drip_headers: "not whole after 0 s",
    fall_silent: "not whole after 0 s",
    flood_without_length: "more than its \\d+ bytes",
    flood_with_chunks: "more than its \\d+ bytes",
    flood_with_the_length_of_a_chunk: "the connection broke",
    end_early: "the connection broke",
    lead_to_a_file: "file:///etc/passwd",
    lead_in_a_circle: "[Rr]edirects",
    answer_nonsense: "no connection",
}


@pytest.fixture
def hostile(serve):
    """Serve with a function that is given each request for a file; asked before, the server is willing or not."""
    over = threading.Event()

    def start(behave, willing=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                send(self, b"", status=willing)

            def do_GET(self):
                with contextlib.suppress(OSError):
                    behave(self, over)

        return serve(Handler)

    yield start
    over.set()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("behave", "message"), HOSTILE.items(), ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize("is_named", [True, False], ids=["named", "by default"])
def test_a_hostile_mirror_is_bounded_in_time_and_bytes(hostile, cache, monkeypatch, behave, message, is_named):
    address = hostile(behave)
    if "not whole" in message:  # it would go on for ever
        for name in ("TOTAL_SECONDS", "PATIENT_SECONDS"):
            monkeypatch.setattr(download, name, 0.2)
    if is_named:
        monkeypatch.setenv("SSNN_MNIST_URL", address)
    else:
        monkeypatch.setattr(mnist, "MIRRORS", (address,))
    with pytest.raises(DataError, match=f"127.0.0.1:\\d+: {IMAGES}: .*{message}") as error:
        data.load_data("mnist")
    assert str(error.value).isprintable()
    assert not cache.exists()
    if is_named:  # then nothing else may take its place
        with pytest.raises(DataError, match="SSNN_MNIST_URL"):
            data.load_data("auto")
    else:
        with pytest.warns(UserWarning, match=f"drawn by the program, because .*{message}"):
            assert data.load_data("auto").name == "synthetic"


def test_what_comes_after_the_deadline_is_not_taken(files, hostile, monkeypatch):
    monkeypatch.setattr(download, "PATIENT_SECONDS", 0.1)
    go_on, done = threading.Event(), threading.Event()

    def late(handler, over):
        go_on.wait()
        send(handler, (files / IMAGES).read_bytes())
        done.set()

    monkeypatch.setenv("SSNN_MNIST_URL", hostile(late))
    before = set(threading.enumerate())
    with pytest.raises(DataError, match="not whole"):
        data.load_data("mnist")
    (thread,) = [thread for thread in set(threading.enumerate()) - before if isinstance(thread, download._Download)]
    go_on.set()
    assert done.wait(60)
    thread.join(60)
    assert not thread.is_alive()
    assert thread.received == b""


def test_a_redirect_is_followed_and_its_body_not_read(files, serve, hostile, monkeypatch):
    target = serve(files)

    def lead_on(handler, over):
        send(handler, b"", status=302, Location=target + handler.path[1:])
        drip(handler, b"", over)

    monkeypatch.setattr(download, "PATIENT_SECONDS", 20)
    monkeypatch.setenv("SSNN_MNIST_URL", hostile(lead_on))
    assert data.load_data("mnist").name == "mnist"


def test_a_gzipped_file_that_the_mirror_calls_gzipped_is_not_unpacked(files, hostile, monkeypatch):
    def call_it_gzipped(handler, over):
        send(handler, (files / handler.path[1:]).read_bytes(), Content_Encoding="gzip")

    monkeypatch.setenv("SSNN_MNIST_URL", hostile(call_it_gzipped))
    assert data.load_data("mnist").name == "mnist"


def test_a_mirror_of_one_s_own_is_not_asked_before(files, hostile, monkeypatch):
    """Simple servers do not know how to answer."""

    def give(handler, over):
        send(handler, (files / handler.path[1:]).read_bytes())

    address = hostile(give, willing=405)
    monkeypatch.setattr(mnist, "MIRRORS", (address,))
    with pytest.raises(DataError, match="HTTP status 405"):
        data.load_data("mnist")
    monkeypatch.setenv("SSNN_MNIST_URL", address)
    assert data.load_data("mnist").name == "mnist"


@pytest.mark.parametrize("end", ["", "/", "/sub", "/sub/"])
def test_a_mirror_of_one_s_own_is_the_only_one(files, tmp_path, serve, monkeypatch, cache, end):
    shutil.copytree(files, tmp_path / "served" / "sub")
    address = serve(tmp_path / "served" / ("" if "sub" in end else "sub"))
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setenv("SSNN_MNIST_URL", address.rstrip("/") + end)
    assert data.load_data("auto").name == "mnist"
    shutil.rmtree(cache)
    monkeypatch.setattr(mnist, "MIRRORS", (address,))
    monkeypatch.setenv("SSNN_MNIST_URL", "http://somebody:secret@127.0.0.1:9/")
    for source in ("auto", "mnist"):
        with pytest.raises(DataError, match=r"from where SSNN_MNIST_URL says \(127.0.0.1:9: ") as error:
            data.load_data(source)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["ftp://a.b/", "mirror", "http://", "http:///mnist", "https://[", "http://a:b/", "http://a/?b", "file:///"]
)
def test_the_address_of_a_mirror_is_checked_as_a_flag_is(monkeypatch, url):
    monkeypatch.setenv("SSNN_MNIST_URL", url)
    for source in ("auto", "mnist"):
        with pytest.raises(UsageError, match=r"SSNN_MNIST_URL is .*http or https URL"):
            data.load_data(source)


@pytest.mark.parametrize("place", ["the folder", "a parent", "a file in it"])
def test_without_a_usable_cache_the_run_goes_on_and_says_so(files, serve, cache, monkeypatch, place):
    path = {"the folder": cache, "a parent": cache.parent, "a file in it": cache / TEST_LABELS / "folder"}[place]
    path.parent.mkdir(parents=True)
    path.write_text("in the way")
    monkeypatch.setattr(mnist, "MIRRORS", (serve(files),))
    with pytest.warns(UserWarning, match=f"MNIST was downloaded and cannot be kept: .*{cache}.*") as warned:
        digits = data.load_data("auto")
    assert [record.filename for record in warned] == [__file__]
    assert digits.name == "mnist"
    assert digits.origin == f"four IDX files from {mnist.MIRRORS[0].split('/')[2]}"
    np.testing.assert_array_equal(digits.train.pixels, data.load_data("mnist", files).train.pixels)
    assert path.read_text() == "in the way"


def test_a_pipe_in_the_cache_is_left_alone(files, serve, cache, monkeypatch):
    cache.mkdir(parents=True)
    os.mkfifo(cache / LABELS)
    monkeypatch.setattr(mnist, "MIRRORS", (serve(files),))
    with pytest.warns(UserWarning, match=f"cannot be kept: {cache / LABELS}: a folder, pipe or device"):
        assert data.load_data("auto").name == "mnist"
    assert (cache / LABELS).is_fifo()


@pytest.mark.parametrize("version", ["new", "old"])
def test_without_a_home_folder_there_is_no_cache(files, serve, tmp_path, monkeypatch, version):
    import platformdirs

    def folder(*_, **__):
        if version == "new":
            raise RuntimeError("could not determine the home directory")
        return Path("~/.cache/ssnn")

    monkeypatch.setattr(platformdirs, "user_cache_path", folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="MNIST is not in a cache and cannot be downloaded"):
        data.load_data("mnist")
    monkeypatch.setattr(mnist, "MIRRORS", (serve(files),))
    with pytest.warns(UserWarning, match="cannot be kept: there is no home folder"):
        assert data.load_data("mnist").name == "mnist"
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:-1] + b"\xff", bytes.upper])
@pytest.mark.parametrize("source", ["mnist", "auto"])
def test_a_damaged_file_in_the_cache_is_downloaded_anew_or_told(files, serve, cache, monkeypatch, source, damage):
    shutil.copytree(files, cache)
    (cache / LABELS).write_bytes(damage((files / LABELS).read_bytes()))
    with pytest.raises(DataError, match=f"{cache / LABELS}: damaged.*delete it"):
        data.load_data(source)
    monkeypatch.setattr(mnist, "MIRRORS", (serve(files),))
    assert data.load_data(source).name == "mnist"
    assert (cache / LABELS).read_bytes() == (files / LABELS).read_bytes()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("is_named", [True, False], ids=["named", "by default"])
def test_a_process_that_may_start_no_thread_says_so(monkeypatch, is_named):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    if is_named:
        monkeypatch.setenv("SSNN_MNIST_URL", "http://127.0.0.1:9/")
    else:
        monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(DataError, match=r"needs a thread, which cannot be started \(can't start new thread\)"):
        data.load_data("mnist")


def test_a_download_that_is_killed_leaves_nothing(hostile, tmp_path):
    half = threading.Event()

    def send_half(handler, over):
        size = mnist.FILES[IMAGES].size
        send(handler, bytes(size // 2), Content_Length=str(size))
        half.set()
        over.wait()

    environment = os.environ | {"SSNN_MNIST_URL": hostile(send_half)}
    program = "from ssnn import data; data.load_data('mnist')"
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    assert half.wait(120)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
