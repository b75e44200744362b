"""What is stopped and continued ends where an undisturbed run ends."""

import math
import random as chance
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from support import BACKENDS, open_or_skip, ssnn_command

import ssnn
from ssnn import backends
from ssnn.agreement import disagreement, tolerance
from ssnn.errors import TrainingError, UsageError
from ssnn.model.serialization import save_model
from ssnn.settings import OPTIONS, ORDERS, Settings
from ssnn.training import loop
from ssnn.training.trainer import fit
from ssnn.tree import leaves

main = ssnn_command("train")

SETTINGS = Settings(hidden=(6, 4), iterations=50)
MINIBATCHES = [  # five in a pass over 200 images, the last one of 8
    Settings(hidden=(6,), iterations=3, batch_size=48, optimizer=optimizer, order=order)
    for optimizer in OPTIONS
    for order in ORDERS
]
QUICK = ["--data", "synthetic", "--iterations", "40", "--hidden", "3"]


def stopped_at(digits, backend, iterations):
    return fit(digits, backend, SETTINGS, stopping=lambda costs: len(costs) >= iterations)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [2, 24, 48])
def test_on_numpy_it_does_to_the_bit(few_digits, tmp_path, dtype, k):
    backend = backends.open_backend("numpy", dtype=dtype)
    straight = fit(few_digits, backend, SETTINGS)
    half = stopped_at(few_digits, backend, k)
    assert len(half.costs) == k
    save_model(half, tmp_path / "half")
    continued = fit(few_digits, backend, resume=ssnn.load_model(tmp_path / "half"))
    assert continued.costs == straight.costs
    assert disagreement(continued.network, straight.network) == 0
    assert continued.run.updates == 50 - k


@pytest.fixture
def one_by_one(monkeypatch):
    """The loop comes back after each update."""
    monkeypatch.setattr(loop, "FIRST_WORK", 1)  # runs of one update, till it is known how long they take
    monkeypatch.setattr(loop, "RUN_SECONDS", 0.0)  # which is too long in any case


def same_state(one, other):
    pairs = zip(leaves(one.optimizer_state), leaves(other.optimizer_state), strict=True)
    return all(a.dtype == b.dtype and a.shape == b.shape and (a == b).all() for a, b in pairs)


@pytest.mark.parametrize("settings", MINIBATCHES, ids=lambda settings: f"{settings.optimizer}-{settings.order}")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_so_it_does_within_a_pass_whatever_the_optimizer(few_digits, tmp_path, monkeypatch, settings, dtype):
    """Stopped at the ends of passes and within them, saved, and continued in runs that are as long as usual."""
    backend = backends.open_backend("numpy", dtype=dtype)
    straight = fit(few_digits, backend, settings)
    assert straight.iterations == 3
    for k in (1, 4, 5, 6, 8, 10, 14):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "FIRST_WORK", 1)
            patch.setattr(loop, "RUN_SECONDS", 0.0)
            part = fit(few_digits, backend, settings, stopping=lambda costs, k=k: len(costs) == k)
        assert (len(part.costs), part.iterations) == (k, k / 5)
        save_model(part, tmp_path / "part")
        continued = fit(few_digits, backend, resume=ssnn.load_model(tmp_path / "part"))
        assert continued.costs == straight.costs
        assert disagreement(continued.network, straight.network) == 0
        assert same_state(continued, straight)
        assert continued.run.updates == 15 - k


@pytest.mark.parametrize("optimizer", OPTIONS)
def test_so_does_the_full_batch_whatever_the_optimizer(few_digits, tmp_path, optimizer):
    settings = replace(SETTINGS, optimizer=optimizer, learning_rate=0.01)
    straight = fit(few_digits, settings=settings)
    part = fit(few_digits, settings=settings, stopping=lambda costs: len(costs) >= 24)
    save_model(part, tmp_path / "part")
    continued = fit(few_digits, resume=ssnn.load_model(tmp_path / "part"))
    assert continued.costs == straight.costs
    assert disagreement(continued.network, straight.network) == 0
    assert same_state(continued, straight)


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("optimizer", OPTIONS)
@pytest.mark.parametrize("name", BACKENDS)
def test_elsewhere_within_a_pass_it_does_within_the_tolerance(few_digits, name, optimizer):
    settings = Settings(hidden=(6,), iterations=3, batch_size=48, optimizer=optimizer)
    backend = open_or_skip(name, dtype="float64")
    undisturbed = fit(few_digits, backend, settings)
    part = fit(few_digits, backend, settings, stopping=lambda costs: len(costs) == 8)
    continued = fit(few_digits, backend, resume=part)
    assert disagreement(continued.network, undisturbed.network) < tolerance("float64", 15)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elsewhere_it_does_within_the_tolerance(few_digits, name, dtype):
    backend = open_or_skip(name, dtype=dtype)
    reference = fit(few_digits, backends.open_backend("numpy", dtype="float64"), SETTINGS)
    continued = fit(few_digits, backend, resume=stopped_at(few_digits, backend, 24))
    assert disagreement(continued.network, reference.network) < tolerance(dtype, 50)


@pytest.mark.parametrize("name", BACKENDS)
def test_numpy_s_float64_goes_on_anywhere(few_digits, name):
    open_or_skip(name)
    numpy = backends.open_backend("numpy", dtype="float64")
    continued = fit(few_digits, name, resume=stopped_at(few_digits, numpy, 24))
    assert continued.backend.name == name
    assert continued.dtype == "float64"
    assert disagreement(continued.network, fit(few_digits, numpy, SETTINGS).network) < tolerance("float64", 50)


def test_a_finished_model_goes_on_to_a_larger_total(few_digits):
    longer = replace(SETTINGS, iterations=70)
    continued = fit(few_digits, settings=longer, resume=fit(few_digits, settings=SETTINGS))
    assert continued.costs == fit(few_digits, settings=longer).costs
    assert continued.settings == longer


def test_the_time_of_an_iteration_is_that_of_the_iterations_of_this_run(few_digits):
    told, half = [], stopped_at(few_digits, "numpy", 24)
    result = fit(few_digits, resume=half, report=told.append)
    seconds = told[-1].seconds_per_update * (len(result.costs) - 24)
    assert seconds == pytest.approx(result.run.seconds.iterations)


def test_checkpoints_come_where_they_are_wanted_and_change_nothing(few_digits):
    kept = []
    model = fit(few_digits, settings=SETTINGS, checkpoint=kept.append, checkpoint_every=7)
    assert [len(checkpoint.costs) for checkpoint in kept] == [7, 14, 21, 28, 35, 42, 49]
    straight = fit(few_digits, settings=SETTINGS)
    assert model.costs == straight.costs
    assert fit(few_digits, resume=kept[2]).costs == straight.costs


@pytest.mark.parametrize("optimizer", OPTIONS)
def test_checkpoints_come_after_passes_and_change_nothing(few_digits, optimizer):
    settings, kept = Settings(hidden=(6,), iterations=7, batch_size=48, optimizer=optimizer), []
    model = fit(few_digits, settings=settings, checkpoint=kept.append, checkpoint_every=3)
    assert [len(checkpoint.costs) for checkpoint in kept] == [15, 30]
    straight = fit(few_digits, settings=settings)
    assert model.costs == straight.costs
    continued = fit(few_digits, resume=kept[0])
    assert continued.costs == straight.costs
    assert same_state(continued, straight)


@pytest.mark.usefixtures("one_by_one")
def test_the_end_of_a_pass_is_reported_and_the_stopping_rule_is_asked_within(few_digits):
    reported, asked = [], []
    settings = Settings(hidden=(2,), iterations=40, batch_size=100)
    model = fit(few_digits, settings=settings, report=reported.append, stopping=lambda costs: asked.append(len(costs)))
    assert asked == list(range(1, 81))
    assert [progress.iteration for progress in reported] == list(range(2, 41, 2))
    assert all(progress.costs == model.costs[: 2 * progress.iteration] for progress in reported)
    assert {progress.samples_per_update for progress in reported} == {100}


def test_runs_within_a_step_change_nothing(few_digits, request):
    """Not a bit on NumPy, and no report, but the stopping rule is asked after each of them."""
    reported, asked = [], []
    calls = {"report": lambda progress: reported.append(progress.iteration)}
    straight = fit(few_digits, settings=SETTINGS, **calls)
    steps = list(reported)
    reported.clear()
    request.getfixturevalue("one_by_one")
    split = fit(few_digits, settings=SETTINGS, **calls, stopping=lambda costs: asked.append(len(costs)))
    assert split.costs == straight.costs
    assert disagreement(split.network, straight.network) == 0
    assert reported == steps == list(range(2, 51, 2))
    assert asked == list(range(1, 51))
    kept = []
    part = fit(
        few_digits,
        settings=SETTINGS,
        checkpoint=lambda model: kept.append(len(model.costs)),
        checkpoint_every=10,
        stopping=lambda costs: len(costs) == 33,
    )
    assert (len(part.costs), kept) == (33, [10, 20, 30])
    assert fit(few_digits, resume=part).costs == straight.costs


@pytest.mark.parametrize("name", BACKENDS)
def test_a_run_is_stopped_within_a_step_that_would_take_hours(few_digits, name):
    asked = []

    def stopping(costs):
        asked.append(len(costs))
        return len(asked) == 3

    model = fit(few_digits, open_or_skip(name), Settings(iterations=2_000_000_000), stopping=stopping)
    assert len(model.costs) == asked[-1] < 100_000_000


@pytest.mark.parametrize("every", [1, 2])
def test_no_checkpoint_is_made_whose_logits_are_not_finite(few_digits, every):
    """Parameters and costs are finite here: a cost is taken before the update."""
    kept = []
    with pytest.raises(TrainingError, match=r"a logit is not finite at iteration 2; try a learning rate below 1e\+10"):
        fit(
            few_digits,
            settings=Settings(learning_rate=1e10, iterations=20),
            checkpoint=kept.append,
            checkpoint_every=every,
        )
    assert [len(model.costs) for model in kept] == ([1] if every == 1 else [])


def test_no_checkpoint_is_made_of_parameters_that_are_not_finite(few_digits):
    kept = []
    with pytest.raises(TrainingError, match="a parameter is not finite at iteration 1"):
        fit(
            few_digits,
            settings=Settings(learning_rate=1e39, iterations=2, hidden=()),
            checkpoint=kept.append,
            checkpoint_every=1,
        )
    assert kept == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": (5,)}, "hidden 5, not 6 4"),
        ({"batch_size": 7}, "batch size 7, not none; order random, not none"),
        (
            {"optimizer": "adam"},
            "optimizer adam, not gd; beta_1 0.9, not none; beta_2 0.999, not none; epsilon 1e-08, not none",
        ),
        ({"hidden": ()}, "hidden 0, not 6 4"),
        ({"learning_rate": 0.25, "seed": 7}, "learning rate 0.25, not 0.5; seed 7, not 561"),
        ({"constant_features": "keep"}, "constant features keep, not drop"),
    ],
)
def test_settings_that_contradict_are_named(few_digits, changes, message):
    half = stopped_at(few_digits, "numpy", 24)
    with pytest.raises(UsageError) as error:
        fit(few_digits, settings=replace(SETTINGS, **changes), resume=half)
    assert str(error.value) == f"what is asked for contradicts the model to be continued: {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 49}, "batch size 49, not 48"),
        ({"batch_size": None, "order": None}, "batch size none, not 48; order none, not random"),
        ({"order": "file"}, "order file, not random"),
        ({"beta_2": 0.99}, "beta_2 0.99, not 0.999"),
        ({"seed": 7}, "seed 7, not 561"),
        (
            {"optimizer": "momentum", "beta_1": None, "beta_2": None, "epsilon": None},
            "optimizer momentum, not adam; momentum 0.9, not none; beta_1 none, not 0.9; beta_2 none, not 0.999; "
            "epsilon none, not 1e-08",
        ),
    ],
)
def test_so_are_another_optimizer_batch_size_and_order(few_digits, changes, message):
    settings = Settings(hidden=(6,), iterations=3, batch_size=48, optimizer="adam")
    part = fit(few_digits, settings=replace(settings, iterations=1))
    with pytest.raises(UsageError) as error:
        fit(few_digits, settings=replace(settings, **changes), resume=part)
    assert str(error.value) == f"what is asked for contradicts the model to be continued: {message}"


@pytest.mark.usefixtures("one_by_one")
def test_a_total_within_the_passes_that_are_done_is_refused(few_digits):
    settings = Settings(iterations=3, batch_size=48)
    part = fit(few_digits, settings=settings, stopping=lambda costs: len(costs) == 11)
    for iterations in 1, 2:
        with pytest.raises(UsageError, match=f"^{iterations} iterations: the model has done 2, and this is the total"):
            fit(few_digits, settings=replace(settings, iterations=iterations), resume=part)
    assert len(fit(few_digits, resume=part).costs) == 15


def test_so_are_another_dtype_other_data_and_a_total_that_is_reached(few_digits):
    half = stopped_at(few_digits, "numpy", 24)
    with pytest.raises(UsageError, match="dtype float64, not float32"):
        fit(few_digits, backends.open_backend("numpy", dtype="float64"), resume=half)
    with pytest.raises(UsageError, match="digits 1 0, not 0 1"):
        fit(replace(few_digits, classes=(1, 0)), resume=half)
    with pytest.raises(UsageError, match=r"has learnt from 200 other images, .*; these are 100, "):
        fit(replace(few_digits, train=few_digits.test), resume=half)
    with pytest.raises(UsageError, match="23 iterations: the model has done 24, and this is the total to reach"):
        fit(few_digits, settings=replace(SETTINGS, iterations=23), resume=half)
    with pytest.raises(UsageError, match="24 iterations: the model has done 24, and this is the total to reach"):
        fit(few_digits, settings=replace(SETTINGS, iterations=24), resume=half)
    with pytest.raises(UsageError, match="a checkpoint every 0 iterations: at least 1"):
        fit(few_digits, checkpoint=print, checkpoint_every=0)
    with pytest.raises(UsageError, match="give both checkpoint and checkpoint_every, or neither"):
        fit(few_digits, checkpoint_every=2)


def test_a_session_is_continued_by_the_command_line(tmp_path, capsys):
    whole, part = str(tmp_path / "whole"), str(tmp_path / "part")
    assert main([*QUICK, "--save", whole]) == 0
    assert main([*QUICK, "--iterations", "24", "--save", part]) == 0
    assert main(["--resume", part, "--iterations", "40", "--save", part]) == 0
    assert ssnn.load_model(part).costs == ssnn.load_model(whole).costs
    assert disagreement(ssnn.load_model(part).network, ssnn.load_model(whole).network) == 0
    capsys.readouterr()
    assert main(["--resume", part, "--hidden", "4", "--digits", "1", "0", "--iterations", "50"]) == 2
    message = "what is asked for contradicts the model to be continued: hidden 4, not 3; digits 1 0, not 0 1"
    assert capsys.readouterr().err.splitlines()[-1] == f"ssnn train: error: {message}"
    assert main(["--resume", part, "--preset", "article", "--iterations", "50"]) == 2
    message = "hidden 10, not 3; constant features keep, not drop; dtype float64, not float32"
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--save -", "a model goes to a file, not to standard output"),
        ("--save /nowhere/model", "/nowhere/model cannot be written: there is no folder /nowhere"),
        ("--save twice --json twice", "twice is named twice: what is written there would take the place of the other"),
        ("--checkpoint-every 5", "--checkpoint-every needs --save FILE, where to save"),
    ],
)
def test_wrong_usage_is_told(capsys, arguments, message):
    assert main([*QUICK, *arguments.split()]) == 2
    assert capsys.readouterr().err == f"ssnn train: error: {message}\n"


def test_a_model_that_cannot_be_used_exits_with_6(capsys, tmp_path):
    assert main(["--resume", str(tmp_path / "none")]) == 6
    assert capsys.readouterr().err == f"ssnn train: error: {tmp_path / 'none'}: missing\n"


def test_a_model_that_cannot_be_saved_takes_no_results(capsys, monkeypatch, tmp_path):
    """Nor does a checkpoint: there may be room again before the end."""
    monkeypatch.setattr(
        "ssnn.system.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    path = tmp_path / "model"
    assert main([*QUICK, "--quiet", "--save", str(path), "--checkpoint-every", "20"]) == 1
    out, err = capsys.readouterr()
    assert "test:     " in out
    failure = f"{path} cannot be written (No space left on device)"
    assert err.splitlines()[1] == f"ssnn train: warning: {failure}; training goes on"
    assert err.splitlines()[-1] == f"ssnn train: error: {failure}"
    assert list(tmp_path.glob("*")) == []


def start(*arguments):
    """The program as a process that hears all signals, even where these tests run in the background and do not."""
    hear = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    )
    run = "runpy.run_module('ssnn.train', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", f"{hear}; {run}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


LONG = ["--data", "synthetic", "--hidden", "1", "--iterations", "6000"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_what_was_reached_and_says_how_to_go_on(tmp_path, number, capsys):
    path = tmp_path / "a model"
    with start(*LONG, "--save", str(path)) as process:
        while not process.stderr.readline().startswith("iteration"):
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "test:     " in out
    assert f"\nstopping, once {path} is saved; another signal stops at once\n" in err
    done, command = re.search(r"stopped after (\d+) of 6000 iterations and saved; to go on: (.*)\n", err).groups()
    stopped = ssnn.load_model(path)
    assert len(stopped.costs) == int(done)
    python, module, name, *arguments = shlex.split(command)
    assert [python, module, name] == ["python", "-m", "ssnn.train"]
    assert main([*arguments, "--iterations", str(int(done) + 10), "--quiet"]) == 0
    assert len(ssnn.load_model(path).costs) == int(done) + 10


def test_a_signal_while_the_model_is_saved_takes_nothing(tmp_path):
    path = tmp_path / "model"
    program = (
        "import os, signal, sys\n"
        "from ssnn.__main__ import main\n"
        "sync = os.fsync\n"
        "os.fsync = lambda file: (os.kill(os.getpid(), signal.SIGTERM), sync(file))\n"
        "sys.exit(main(['train', *sys.argv[1:]]))\n"
    )
    process = subprocess.run([sys.executable, "-c", program, *QUICK, "--save", path], capture_output=True, text=True)
    assert process.returncode == 0
    assert "test:     " in process.stdout
    assert len(ssnn.load_model(path).costs) == 40


def test_sigterm_without_a_file_to_save_to_ends_at_once():
    with start(*LONG) as process:
        while not process.stderr.readline().startswith("iteration"):
            pass
        process.terminate()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 143
    assert err.endswith("\nssnn train: terminated\n")
    assert "Traceback" not in err


PROGRAM = """
import sys, ssnn
from pathlib import Path
from ssnn.data import Dataset, Samples, synthetic
samples = Samples(*synthetic.draw(100, 100, seed=0))
digits = Dataset("synthetic", "a test", (0, 1), samples, samples, 0.0)
path = Path(sys.argv[1])
resume = ssnn.load_model(path) if path.exists() else None
if resume is None or len(resume.costs) < 1000:
    save = lambda model: (ssnn.save_model(model, path), print(len(model.costs), flush=True))
    settings = ssnn.Settings(hidden=(2,), iterations=1000)
    save(ssnn.fit(digits, settings=settings, resume=resume, checkpoint=save, checkpoint_every=2))
"""


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_leaves_a_whole_model(tmp_path):
    path = tmp_path / "model"
    kills, moments = 0, chance.Random(0)
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE) as process:
            # Past the first checkpoint of each life, so that there is progress; then at any moment.
            is_alive = process.stdout.readline() != b""
            time.sleep(moments.uniform(0, 0.03))
            process.kill()
            process.communicate()
        model = ssnn.load_model(path)
        assert len(model.costs) % 2 == 0
        assert all(map(math.isfinite, model.costs))
        kills += is_alive and len(model.costs) < 1000
    subprocess.run([sys.executable, "-c", PROGRAM, path], check=True, stdout=subprocess.DEVNULL)
    straight = tmp_path / "straight"
    subprocess.run([sys.executable, "-c", PROGRAM, straight], check=True, stdout=subprocess.DEVNULL)
    assert kills >= 5
    assert ssnn.load_model(path).costs == ssnn.load_model(straight).costs
    assert disagreement(ssnn.load_model(path).network, ssnn.load_model(straight).network) == 0
    assert all(path.name.startswith(".ssnn-part-") for path in set(tmp_path.iterdir()) - {path, straight})
