import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from errno import EBUSY, EPERM
from pathlib import Path

import pytest

from ssnn.errors import SsnnError, UsageError
from ssnn.system import files
from ssnn.system.files import atomic_write, check_outputs, check_writable, write_text

DEADLINE = 60  # seconds: whatever takes longer hangs


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a file, its links, a link to nothing, a loop, a pipe, a socket and a data folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ("sub", "data"):
        Path(folder).mkdir()
    for name in ("m", "elsewhere", "data/t.gz"):
        Path(name).write_text("old")
    for name, target in (("l", "m"), ("ahead", "new"), ("loop", "loop"), ("data/link", "../elsewhere"), ("lp", "p")):
        Path(name).symlink_to(target)
    os.link("m", "h")
    os.mkfifo("p")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    return tmp_path


def run_here(code, **options):
    """Run Python in the working folder, with the names of ssnn.system.files, and with streams that are buffered."""
    program = f"from ssnn.system.files import *\n{code}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run([sys.executable, "-c", program], check=False, timeout=DEADLINE, env=buffered, **options)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("written", "read", "both"),
    [
        (["m", "m"], [], ("m",)),
        (["m", "./m"], [], ("m", "./m")),
        (["new", "sub/../new"], [], ("new", "sub/../new")),
        (["m", None, "l"], [], ("m", "l")),
        (["m", "h"], [], ("m", "h")),
        (["new", "ahead"], [], ("new", "ahead")),
        (["p", "lp"], [], ("p", "lp")),
        (["-", "-"], [], ("-",)),
        (["-", "/dev/stdout"], [], ("-", "/dev/stdout")),
        (["m"], [None, "h"], ("m", "h")),
        (["sub/../data/t.gz"], ["data/t.gz"], ("sub/../data/t.gz", "data/t.gz")),
        (["elsewhere"], [Path("data/link")], ("elsewhere", "data/link")),
    ],
)
def test_two_names_of_one_file_are_refused_whatever_their_spelling(written, read, both):
    with pytest.raises(UsageError, match="is named twice") as error:
        check_outputs(written, read)
    assert all(name in str(error.value) for name in both)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["m", "new", "elsewhere"], ["p", "no such file"]),
        (["data/new", "m"], ["data", "data/t.gz"]),
        (["/dev/null", "/dev/null"], ["/dev/null"]),
        ([None, "-", None], [None]),
        (["m"], ["a\0b"]),
    ],
)
def test_different_files_are_not(written, read):
    check_outputs(written, read)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_file_that_the_shell_writes_to_is_an_output_too(stream):
    with open("m", "w") as led:
        assert run_here("check_outputs(['/dev/stdout', 'h'])", **{"stderr": subprocess.PIPE, stream: led}).returncode
        assert (
            run_here("check_outputs(['/dev/stdout', 'new'])", **{"stderr": subprocess.PIPE, stream: led}).returncode
            == 0
        )


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("sub", "is a folder"),
        ("sub/", "is a folder"),
        ("new/", "is a folder"),
        ("", "an output without a name"),
        ("nowhere/m", "there is no folder"),
        ("m/x", "not a directory"),
        ("loop", "too many levels of symbolic links"),
        ("x" * 300, "file name too long"),
        ("socket", "a disk or a socket; name a file"),
        ("a\0b", "no file can have such a name"),
        ("\ud800", "no file can have such a name"),
    ],
)
def test_what_cannot_be_written_is_told_before_and_leaves_all_as_it_was(here, path, why):
    before = sorted(os.listdir())
    with pytest.raises(UsageError) as error:
        check_writable(path)
    assert why in str(error.value)
    with pytest.raises(SsnnError, match="cannot be written"), atomic_write(path):
        pass
    assert sorted(os.listdir()) == before
    assert Path("m").read_text() == "old"


@pytest.mark.usefixtures("here")
def test_a_pipe_without_a_reader_holds_no_check_up():
    assert run_here("check_outputs(['p']); check_writable('p')").returncode == 0


@pytest.mark.parametrize("mode", [0o600, 0o444])
def test_a_file_that_must_not_be_written_is_not_replaced(here, monkeypatch, mode):
    Path("m").chmod(mode)
    if mode == 0o600:  # but in such a folder only its owner may replace it
        here.chmod(0o1777)
        somebody_else = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: somebody_else)
    elif os.geteuid() == 0:  # whom nothing is forbidden
        monkeypatch.setattr(os, "access", lambda *_: False)
    for refused in (lambda: check_writable("m"), lambda: write_text("m", "new")):
        with pytest.raises(SsnnError, match=r"m cannot be written"):
            refused()
    assert Path("m").read_text() == "old"


def write_half(path):
    with atomic_write(path) as write:
        write(b"half")
        raise ZeroDivisionError


@pytest.mark.parametrize("folder", [None, "/dev/shm"])
def test_a_file_is_replaced_by_a_whole_one_wherever_it_lies(folder):
    if folder and not os.path.isdir(folder):
        pytest.skip(f"there is no {folder}")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "m"
        path.write_text("old")
        with pytest.raises(ZeroDivisionError):
            write_half(path)
        assert path.read_text() == "old"
        with path.open() as reading:
            write_text(str(path), "new")
            assert reading.read() == "old"
        assert path.read_text() == "new"
        assert os.listdir(name) == ["m"]


def test_an_open_file_is_written_to_where_it_stands(tmp_path):
    """By a name such as /dev/stdout; a file of the same name would not be the one that a shell has opened."""
    with (tmp_path / "out").open("w") as out:
        program = "print('before'); check_writable('/dev/stdout'); write_text('/dev/stdout', 'json\\n'); print('after')"
        assert run_here(program, stdout=out).returncode == 0
    assert (tmp_path / "out").read_text() == "before\njson\nafter\n"


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.usefixtures("here")
def test_links_and_modes_are_what_a_person_expects():
    old_mask = os.umask(0o027)
    try:
        Path("m").chmod(0o604)
        write_text("l", "new")
        write_text("ahead", "made")
    finally:
        os.umask(old_mask)
    assert Path("l").is_symlink()
    assert Path("m").read_text() == "new"
    assert Path("h").read_text() == "old"  # a snapshot stays one
    assert mode("m") == 0o604
    assert Path("ahead").is_symlink()
    assert Path("new").read_text() == "made"
    assert mode("new") == 0o640


@pytest.mark.usefixtures("here")
def test_what_nobody_else_may_read_cannot_be_read_while_it_is_written():
    Path("m").chmod(0o600)
    with atomic_write("m"):
        (temporary,) = Path().glob(f"{files.TEMPORARY}*")
        assert mode(temporary) == 0o600


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("may", ["all", "group", "nothing"])
def test_owner_and_group_are_kept_as_far_as_the_user_may(monkeypatch, may):
    status, asked = os.stat("m"), []

    def chown(path, uid, gid):
        asked.append((uid, gid))
        if may == "nothing" or (may == "group" and uid != -1):
            raise PermissionError(EPERM, "not allowed")

    monkeypatch.setattr(os, "chown", chown)
    write_text("m", "new")
    assert sorted(asked) == [(-1, status.st_gid), (status.st_uid, -1)]
    assert Path("m").read_text() == "new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.usefixtures("here")
def test_root_leaves_a_file_its_owner():
    os.chown("m", 1234, 2345)
    write_text("m", "new")
    assert (os.stat("m").st_uid, os.stat("m").st_gid) == (1234, 2345)


@pytest.mark.usefixtures("here")
def test_a_file_that_is_mounted_by_itself_gets_the_content(monkeypatch):
    def busy(*_):
        raise OSError(EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    inode = os.stat("m").st_ino
    write_text("m", "new")
    assert (Path("m").read_text(), os.stat("m").st_ino) == ("new", inode)
    assert not list(Path().glob(f"{files.TEMPORARY}*"))


@contextmanager
def writer(path):
    """A process that has written half of a file and goes on when its standard input gets a line."""
    program = (
        "import sys; from ssnn.system.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as write:\n"
        "    write(b'half'); print('ready', flush=True); sys.stdin.readline(); write(b' and half')\n"
    )
    command = [sys.executable, "-c", program, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()  # a stopped one would be waited for in vain


@pytest.mark.parametrize("stopped", [False, True])
def test_what_a_living_process_writes_is_left_alone_however_old_it_is(tmp_path, stopped):
    with writer(tmp_path / "slow") as process:
        (temporary,) = tmp_path.glob(f"{files.TEMPORARY}*")
        os.utime(temporary, (0, 0))
        if stopped:
            process.send_signal(signal.SIGSTOP)
        write_text(str(tmp_path / "quick"), "new")
        assert temporary.exists()
        process.send_signal(signal.SIGCONT)
        process.communicate(b"\n", timeout=DEADLINE)
    assert process.returncode == 0
    assert (tmp_path / "slow").read_text() == "half and half"


def test_what_a_killed_process_left_behind_goes_at_once(tmp_path):
    with writer(tmp_path / "killed") as process:
        process.kill()
    assert len(list(tmp_path.glob(f"{files.TEMPORARY}*"))) == 1
    write_text(str(tmp_path / "next"), "new")
    assert os.listdir(tmp_path) == ["next"]


def test_a_temporary_file_that_was_taken_for_abandoned_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    lock, taken = files._lock, []

    def late(descriptor, wait):
        if not taken:
            taken.extend(tmp_path.glob(f"{files.TEMPORARY}*"))
            files._remove_abandoned(tmp_path)
        lock(descriptor, wait)

    monkeypatch.setattr(files, "_lock", late)
    write_text(str(tmp_path / "m"), "new")
    assert len(taken) == 1
    assert (tmp_path / "m").read_text() == "new"
    assert os.listdir(tmp_path) == ["m"]


def test_where_nothing_can_be_locked_files_are_written_and_none_is_taken_for_abandoned(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError("no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    other = tmp_path / f"{files.TEMPORARY}of-another"
    other.write_text("half")
    write_text(str(tmp_path / "m"), "new")
    assert (tmp_path / "m").read_text() == "new"
    assert other.exists()


def test_a_text_that_utf_8_cannot_say_is_written_all_the_same(tmp_path):
    write_text(str(tmp_path / "page"), "a\udcffb\n")
    assert (tmp_path / "page").read_bytes() == b"a?b\n"
