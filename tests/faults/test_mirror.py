"""Mirrors that misbehave at random: the data are right or refused in one line, and nothing half stays in the cache."""

import functools
import gzip
import http.server
import shutil
import threading
import warnings
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from idx_files import make_mnist
from support import ssnn_command
from test_download import HOSTILE, Server, drip, send

from ssnn import data
from ssnn.data import download, mnist
from ssnn.errors import DataError

pytestmark = pytest.mark.slow

train = ssnn_command("train")
PATIENCE = 60  # seconds, far more than kind mirrors take on a slow machine
SEQUENCES = 160


def status(number):
    def refuse(handler, over):
        send(handler, b"not now", status=number)

    return refuse


def show_a_page(handler, over):
    send(handler, b"<!doctype html><title>Log in</title>", Content_Type="text/html")


def send_other_bytes(handler, over):
    send(handler, bytes(mnist.FILES[name_of(handler)].size))


def send_nothing(handler, over):
    send(handler, b"", Content_Length="0")


def send_too_much(handler, over):
    send(handler, handler.content + b"\0", Content_Length=str(len(handler.content) + 1))


def send_without_its_end(handler, over):
    send(handler, handler.content[:-1], Content_Length=str(len(handler.content) - 1))


def break_off(handler, over):
    send(handler, handler.content[:-1], Content_Length=str(len(handler.content)))


def bend_a_bit(handler, over):
    content = bytearray(handler.content)
    content[len(content) // 2] ^= 1
    send(handler, bytes(content))


def promise_less(handler, over):
    send(handler, handler.content, Content_Length=str(len(handler.content) - 1))


def promise_nonsense(handler, over):
    send(handler, handler.content[1:], Content_Length="-1, many")


def send_a_bomb(handler, over):
    send(handler, gzip.compress(bytes(10**8)))


def call_it_a_bomb(handler, over):
    send(handler, gzip.compress(bytes(10**6)), Content_Encoding="gzip, gzip")


def lead_nowhere(handler, over):
    send(handler, b"", status=301, Location="http://127.0.0.1:1/")


def lead_with_nonsense(handler, over):
    send(handler, b"", status=302, Location="http://[\x1b[31m")


def hang_up(handler, over):
    handler.close_connection = True


def ask_to_continue(handler, over):
    while not over.wait(0.01):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def drip_chunks(handler, over):
    send(handler, b"", Transfer_Encoding="chunked")
    drip(handler, b"1000\r\n", over)


ENDLESS = {ask_to_continue, drip_chunks} | {fault for fault, message in HOSTILE.items() if "not whole" in message}
FAULTS = [
    *HOSTILE,
    *map(status, (204, 401, 403, 404, 429, 500, 503)),
    show_a_page,
    send_other_bytes,
    send_nothing,
    send_too_much,
    send_without_its_end,
    break_off,
    bend_a_bit,
    promise_less,
    promise_nonsense,
    send_a_bomb,
    call_it_a_bomb,
    lead_nowhere,
    lead_with_nonsense,
    hang_up,
    ask_to_continue,
    drip_chunks,
]


def kind(handler, over):
    send(handler, handler.content)


def kind_in_chunks(handler, over):
    handler.protocol_version = "HTTP/1.1"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(handler.content), handler.content)
    send(handler, chunks, Transfer_Encoding="chunked", Connection="close")


def kind_but_wrongly_named(handler, over):
    send(handler, handler.content, Content_Encoding="gzip", Content_Type="text/html")


KIND = [kind, kind_in_chunks, kind_but_wrongly_named]


def name_of(handler):
    return handler.path.rpartition("/")[2]


class Mirror:
    """Answers each request for a file as `answers` says, and whether it is willing as `willing` says."""

    def __init__(self, folder, answers, willing):
        self.answers, self.over, self.asked = answers, threading.Event(), 0
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            @functools.cached_property
            def content(self):
                return (folder / name_of(self)).read_bytes()

            def do_HEAD(self):
                with suppress(OSError):
                    willing(self, mirror.over)

            def do_GET(self):
                with suppress(OSError):
                    answers[name_of(self)](self, mirror.over)

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


def expectation(mirrors):
    """Which files are whole in the end, how many faults are met on the way, and whether one of them has no end."""
    had, met = [], 0
    for name in mnist.FILES:
        for mirror in mirrors:
            answer = mirror.answers[name]
            if answer in KIND:
                had.append(name)
                break
            met += 1
            if answer in ENDLESS:
                return had, met, True
        else:
            break
    return had, met, False


def drawn_mirror(random, folder, kindness):
    """A mirror that is kind so often, for else no second file would be asked for; and whether it is willing."""
    answers = {
        name: random.choice(KIND if random.random() < kindness else [fault for fault in FAULTS if fault not in ENDLESS])
        for name in mnist.FILES
    }
    if random.random() < 0.1:
        answers[random.choice(list(answers))] = random.choice(list(ENDLESS))
    is_willing = random.random() < 0.8
    willing = random.choice([status(200), status(204)] if is_willing else [status(404), status(500), hang_up])
    return Mirror(folder, answers, willing), is_willing


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "by default"])
def test_what_mirrors_give_is_right_or_refused(tmp_path, cache, monkeypatch, capsys, totals, is_named):
    folder = tmp_path / "files"
    make_mnist(folder, monkeypatch)
    right = data.load_data("mnist", folder)
    random, endings = Random(is_named), {"whole": 0, "refused": 0}

    def is_right():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            digits = data.load_data("mnist")
        assert digits.name == "mnist"
        for part, wanted in ((digits.train, right.train), (digits.test, right.test)):
            np.testing.assert_array_equal(part.pixels, wanted.pixels)
            np.testing.assert_array_equal(part.labels, wanted.labels)

    def name(mirrors):
        if is_named:
            monkeypatch.setenv("SSNN_MNIST_URL", mirrors[0].address)
        else:
            monkeypatch.setattr(mnist, "MIRRORS", tuple(mirror.address for mirror in mirrors))

    for _ in range(SEQUENCES // 2):
        number, kindness = (1, 0.85) if is_named else (random.choice([1, 2, 3]), 0.6)
        drawn = [drawn_mirror(random, folder, kindness) for _ in range(number)]
        mirrors = [mirror for mirror, _ in drawn]
        had, met, is_endless = expectation([mirror for mirror, is_willing in drawn if is_named or is_willing])
        met += 0 if is_named else sum(not is_willing for _, is_willing in drawn)
        totals["hostile mirrors"] += len(mirrors)
        totals["their faulty answers"] += met
        for limit in ("TOTAL_SECONDS", "PATIENT_SECONDS"):
            monkeypatch.setattr(download, limit, 0.5 if is_endless else PATIENCE)
        name(mirrors)
        if len(had) == len(mnist.FILES):
            endings["whole"] += 1
            is_right()
        else:
            endings["refused"] += 1
            if random.random() < 0.5:
                assert train(["--data", "mnist", "--iterations", "1"]) == 5
                out, err = capsys.readouterr()
                assert out == ""
                (message,) = err.splitlines()
                assert message.startswith("ssnn train: error: ")
            else:
                with pytest.raises(DataError) as error:
                    data.load_data("mnist")
                message = str(error.value)
            assert message.isprintable()
        for mirror in mirrors:
            mirror.close()
        kept = {path.name: path.read_bytes() for path in cache.glob("*")}
        assert set(kept) == set(had) or (is_endless and set(kept) < set(had))
        assert all(content == (folder / name).read_bytes() for name, content in kept.items())
        last = Mirror(folder, dict.fromkeys(mnist.FILES, kind), status(200))  # it completes what is there
        monkeypatch.setattr(download, "PATIENT_SECONDS", PATIENCE)
        monkeypatch.setattr(download, "TOTAL_SECONDS", PATIENCE)
        name([last])
        is_right()
        last.close()
        shutil.rmtree(cache)
    assert min(endings.values()) > 5


def test_every_fault_is_injected_at_least_once(tmp_path, cache, monkeypatch, totals):
    folder = tmp_path / "files"
    make_mnist(folder, monkeypatch)
    for fault in FAULTS:
        mirror = Mirror(folder, dict.fromkeys(mnist.FILES, fault), status(200))
        totals["hostile mirrors"] += 1
        totals["their faulty answers"] += 1
        monkeypatch.setattr(download, "PATIENT_SECONDS", 0.5 if fault in ENDLESS else PATIENCE)
        monkeypatch.setenv("SSNN_MNIST_URL", mirror.address)
        with pytest.raises(DataError) as error:
            data.load_data("mnist")
        assert str(error.value).isprintable()
        assert not cache.exists()
        mirror.close()
