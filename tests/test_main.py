"""The one door to the commands, and its alias."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ssnn.__main__ import main
from ssnn.cli.commands import COMMANDS, SHELLS

RUN = ["--data", "synthetic", "--iterations", "2", "--quiet"]


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, env=os.environ)


def test_every_command_is_a_file_and_every_file_a_command():
    shared = {"__init__", "arguments", "commands", "completion", "program", "report", "streams", "tables"}
    files = {path.stem for path in (Path(__file__).parents[1] / "ssnn" / "cli").glob("*.py")}
    assert files - shared == set(COMMANDS)


@pytest.mark.parametrize("door", [["-m", "ssnn", "train"], ["-m", "ssnn.train"], ["-OO", "-m", "ssnn", "train"]])
def test_train_is_behind_every_door_also_without_docstrings(door):
    done = run(*door, *RUN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "test:     " in done.stdout


@pytest.mark.parametrize("arguments", [["-m", "ssnn", "--help"], ["-OO", "-m", "ssnn", "--help"], ["-m", "ssnn"]])
def test_help_shows_every_command_on_a_line_of_its_own(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert all(f"{name} {purpose}" in lines for name, purpose in COMMANDS.items())


def test_options_behind_a_command_are_the_command_s():
    done = run("-m", "ssnn", "backends", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ssnn backends")
    assert run("-m", "ssnn", "--version").stdout.startswith("ssnn ")


def test_an_unknown_command_is_one_line():
    done = run("-m", "ssnn", "learn")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith("ssnn: error: argument COMMAND: invalid choice: 'learn'")


def test_the_door_imports_nothing_before_a_signal_is_heard():
    program = "import sys; before = set(sys.modules); import ssnn.__main__; print(*(set(sys.modules) - before))"
    imported = set(run("-c", program).stdout.split())
    assert "ssnn.__main__" in imported
    assert not imported & {"argparse", "numpy", "signal", "typing", "ssnn.cli.program"}


@pytest.fixture(scope="module")
def bash_completion():
    done = run("-m", "ssnn", "--print-completion", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


COMPLETE = """
source completion
complete -p ssnn >/dev/null || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_ssnn ssnn "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ([""], set(COMMANDS)),
        (["ev"], {"evaluate"}),
        (["--print-completion", ""], set(SHELLS)),
        (["train", "--s"], {"--save", "--seed"}),
        (["train", "--backend", "j"], {"jax"}),
        (["evaluate", "--dtype", ""], {"float32", "float64"}),
        (["explain", "--model", "m"], {"model.safetensors", "models"}),
        (["train", "--data-dir", "m"], {"models"}),
        (["predict", "--model", "model.safetensors", "m"], {"model.safetensors", "models"}),
    ],
)
def test_bash_completes_commands_flags_their_values_and_files(bash_completion, tmp_path, words, completed):
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    (tmp_path / "completion").write_text(bash_completion)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "models").mkdir()
    command = ["bash", "-c", COMPLETE, "bash", "ssnn", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert {line.strip() for line in done.stdout.splitlines()} == completed


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_script_and_another_is_refused(capsys, shell):
    assert main(["--print-completion", shell]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)
    assert main(["--print-completion", f"{shell}x"]) == 2


def test_the_parsers_are_imported_only_for_the_completion():
    program = "import sys; from ssnn.__main__ import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    assert not {"shtab", "numpy", "tqdm"} & set(run("-c", program).stderr.split())
