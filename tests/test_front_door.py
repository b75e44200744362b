"""`import ssnn`: what it offers, when it imports it, and what a type checker knows of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import import_or_skip

import ssnn

CONSUMER = """
from typing import assert_type

import numpy as np
import numpy.typing as npt

import ssnn

digits = ssnn.load_data()
assert_type(digits, ssnn.Dataset)
model = ssnn.fit(digits, "jax", ssnn.Settings(hidden=(30,)))
assert_type(model, ssnn.TrainedModel)
assert_type(model.run.test, ssnn.Evaluation)
ssnn.save_model(model, "model.safetensors")
loaded = ssnn.load_model("model.safetensors")
assert_type(loaded, ssnn.Model)
assert_type(loaded.predict_proba(digits.test.pixels), npt.NDArray[np.float64])
assert_type(loaded.evaluate(digits.test).error_rate, float)
assert_type(ssnn.read_picture("zero.jpg"), npt.NDArray[np.uint8])
loaded.explain(digits, index=3).explanation.images[0].findings
"""
MISTAKES = {
    "ssnn.fit(digits, backend=3)": 'Argument "backend" to "fit" has incompatible type "int"',
    "ssnn.fit(digits, no_such_argument=1)": 'Unexpected keyword argument "no_such_argument"',
    "ssnn.no_such_name": 'Module has no attribute "no_such_name"',
    "loaded.run": '"Model" has no attribute "run"',
}


def test_a_type_checker_knows_the_front_door_and_sees_mistakes(tmp_path):
    import_or_skip("mypy")
    consumer = tmp_path / "consumer.py"
    consumer.write_text(CONSUMER + "\n".join(MISTAKES) + "\n")
    first = len(CONSUMER.splitlines()) + 1
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path / 'cache'}", str(consumer)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],  # where the settings of mypy are
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    for number, (line, (statement, message)) in enumerate(zip(errors, MISTAKES.items(), strict=True), start=first):
        assert f"consumer.py:{number}: error: " in line, (statement, line)
        assert message in line, statement


def test_the_front_door_offers_what_it_names_and_hides_no_module():
    program = (
        "import sys, ssnn, types\n"
        "assert not {'numpy', 'jax', 'torch', 'sklearn'} & set(sys.modules)\n"
        "for name in ssnn.__all__:\n"
        "    assert not isinstance(getattr(ssnn, name), types.ModuleType), name\n"
        "import ssnn.backends, ssnn.data, ssnn.model, ssnn.training, ssnn.explain, ssnn.timing, ssnn.testing\n"
        "modules = ('backends', 'data', 'model', 'training', 'explain', 'timing', 'testing')\n"
        "assert all(isinstance(getattr(ssnn, name), types.ModuleType) for name in modules)\n"
        "help(ssnn); help(ssnn.fit); help(ssnn.Model)\n"
        "names = {}\n"
        "exec('from ssnn import *', names)\n"
        "assert {*ssnn.__all__, '__version__'} == set(dir(ssnn)) and set(ssnn.__all__) <= set(names)\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    for name in ("load_data", "fit", "load_model", "available_backends", "predict_proba", "evaluate", "save_model"):
        assert name in shown


def test_the_docstring_has_a_line_for_every_name():
    lines = [re.match(r" {4}(\w+(?:, \w+)*) {2,}\S", line) for line in ssnn.__doc__.splitlines()]
    documented = [name for line in lines if line for name in line[1].split(", ")]
    assert len(documented) == len(set(documented))
    assert set(documented) - {"ShallowNetworkClassifier"} == set(ssnn.__all__) - {"ShallowNetworkClassifier"}
    assert max(map(len, ssnn.__doc__.splitlines())) <= 115


def test_what_the_front_door_lacks_is_told():
    with pytest.raises(AttributeError, match="module 'ssnn' has no attribute 'step'"):
        _ = ssnn.step


def test_without_scikit_learn_its_estimator_is_not_offered_and_the_extra_named():
    program = (
        "import importlib.util as util\n"
        "util.find_spec = lambda name, find=util.find_spec: None if name == 'sklearn' else find(name)\n"
        "import ssnn\n"
        "assert 'ShallowNetworkClassifier' not in dir(ssnn)\n"
        "ssnn.ShallowNetworkClassifier\n"
    )
    told = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True).stderr
    assert told.endswith("ssnn.ShallowNetworkClassifier needs scikit-learn: python -m pip install 'ssnn[sklearn]'\n")
