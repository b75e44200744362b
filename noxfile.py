"""The project's checks, each in an environment of its own: `pip install nox && nox`.

Where nothing can be installed, `nox --no-venv` runs them with what is there. The tests find MNIST through
SSNN_DATA_DIR; what SSNN_REQUIRE names (for instance mnist,jax) must run and may not skip: a backend, in the sessions
that install it. Tests that are marked slow run only if it names slow too.
"""

import contextlib
import json
import os
import random
import re
import shutil
import sqlite3
import sys
import tomllib
from pathlib import Path

import nox

REQUIRED = set(os.environ.get("SSNN_REQUIRE", "").split(",")) - {""}
SLOW = "" if "slow" in REQUIRED else " and not slow"
HAS_GPU = shutil.which("nvidia-smi") is not None

nox.options.sessions = ["lint", "types", "tests", "tests_extras", *(["tests_torch"] if "torch" in REQUIRED else [])]
nox.needs_version = ">=2024.10.9"
nox.options.error_on_missing_interpreters = True
if len(sys.argv) == 1:
    names = ", ".join(nox.options.sessions)
    print(f"{names}: each in an environment of its own, in all about fifteen minutes on two cores, mostly tests")

PACKAGES = {
    "numpy": ["-e", ".[test]"],
    "strict": ["-e", ".[strict,test]"],
    "jax": ["-e", ".[jax,strict,test]"],  # strict, for its arrays given to JAX
    # The CUDA libraries are large, and of use only to a GPU; without one, OpenBLAS is to multiply.
    "cupy": ["-e", ".[cuda12,sklearn,test]"]
    if HAS_GPU
    else ["-e", ".[sklearn,test]", "cupy-cuda12x", "scipy-openblas32"],
}
NOTEBOOK = ("ipykernel", "nbclient", "nbformat")
REPORT = ("jinja2", "matplotlib", "playwright")
EXTRAS = ("docs", "estimator", "explain_browser", "explain_page", "front_door", "metrics", "notebook", "onnx_export")
COMMANDS = ("cli_compare", "docs", "explain_command", "program", "readme", "report", "signals", "train")
BACKENDS = {"cupy", "jax", "strict", "torch"}
NO_OTHER_LIBRARY = f"not ({' or '.join(sorted(BACKENDS))})"

# The tests that have to notice a mutant of each module: all tests of all mutants would take weeks.
FIT = "training resume"
TOO_LONG = "tests/test_training.py::test_what_is_returned_is_finite"
MUTATED = {
    "network": "network",
    "optimizers": "optimizers",
    "standardize": "standardize",
    "initialization": "initialization network",
    "explain/findings": "findings",
    "data/idx": "data",
    "model/serialization": "serialization",
    "training/batch": "batch backends",
    "training/callbacks": FIT,
    "training/loop": f"{FIT} batch",
    "training/memory": "training",
    "training/minibatch": "minibatch",
    "training/progress": FIT,
    "training/resume": "resume",
    "training/trainer": f"{FIT} model",
    "backends/accumulation": "numpy_backend batch",
    "backends/base": "numpy_backend registry backends",
    "backends/jax": "jax_backend backends",
    "backends/numpy": "numpy_backend batch",
    "backends/registry": "registry cli_backends",
    "backends/strict": "numpy_backend backends batch",
    "backends/torch": "torch_backend backends",
}
# The mutants of interest, by their operators: of others, no slip would make them (`<<` for `+`), they fail at once
# (`&` in a type) or cannot be told from the original (`is` for `==`).
RELATION = "(Eq|NotEq|Lt|LtE|Gt|GtE)"
MUTATIONS = re.compile(
    "core/("
    "ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Div|Mod_Mul|Pow_Mul|LShift_RShift|BitAnd_BitOr)"
    f"|ReplaceComparisonOperator_({RELATION}_{RELATION}|Is_IsNot|IsNot_Is)"
    "|ReplaceUnaryOperator_(USub_UAdd|Delete_Not|Delete_Invert)"
    "|Replace(True|False|And|Or|Break|Continue)With.*"
    "|AddNot|ExceptionReplacer|NumberReplacer|RemoveDecorator|ZeroIterationForLoop"
    ")"
)
COSMIC_RAY = """\
[cosmic-ray]
module-path = "{path}"
test-command = "{command}"
timeout = 120.0
distributor.name = "local"
"""


def install(session: nox.Session, *packages: str) -> None:
    """Install into the session's environment, if it has one."""
    if session.venv_backend != "none":
        session.install(*packages)


def group(name: str) -> list[str]:
    """The packages of a dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), name))


def requiring(session: nox.Session, *installed: str) -> dict[str, str]:
    """The environment of tests that must not skip for want of what the session has installed.

    A backend counts only if SSNN_REQUIRE names it: CuPy is installed where it cannot run, too.
    """
    required = REQUIRED - BACKENDS | set(installed) - BACKENDS | REQUIRED & set(installed)
    return {"SSNN_REQUIRE": ",".join(sorted(required))} if session.venv_backend != "none" else {}


def on_cpu(session: nox.Session, command: list[str]) -> list[str]:
    """The command as it runs with CuPy on the CPU, unless there is a GPU; either way, the output says so."""
    if HAS_GPU:
        session.log("CuPy runs on a GPU here: there is nvidia-smi")
        return command
    folder = session.cache_dir / "cuda_on_cpu"  # what is compiled outlives the session
    return ["python", "tests/cuda_on_cpu/run.py", "--if-possible", "--folder", str(folder), *command]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    install(session, *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict type checking of ssnn."""
    install(session, "-e", ".", *group("types"))
    session.run("mypy")


@nox.session
@nox.parametrize("backend", list(PACKAGES), ids=list(PACKAGES))
def tests(session: nox.Session, backend: str) -> None:
    """The tests of one backend; with NumPy all those that need no other library."""
    install(session, *PACKAGES[backend])
    command = ["pytest", "-m", (NO_OTHER_LIBRARY if backend == "numpy" else backend) + SLOW, *session.posargs]
    if backend == "cupy":
        command = on_cpu(session, command)
    installed = ["jax", "strict"] if backend == "jax" else [backend]
    session.run(*command, env=requiring(session, *installed))


@nox.session
def tests_extras(session: nox.Session) -> None:
    """The tests of the scikit-learn estimator, the ONNX export and the report, with what they are made for.

    Those in a browser need a Chromium on the machine; those of CuPy and of PyTorch run in sessions of their own.
    """
    packages = ["-e", ".[browser,jax,onnx,report,sklearn,strict,test]", "onnxruntime", "pandas"]
    install(session, *packages, *group("notebook"), *group("types"))
    session.run(
        "pytest",
        "-m",
        "not (cupy or torch)" + SLOW,
        *(f"tests/test_{part}.py" for part in EXTRAS),
        *session.posargs,
        env=requiring(session, "jax", "strict", *NOTEBOOK, *REPORT, "mypy", "onnx", "onnxruntime", "pandas", "sklearn"),
    )


@nox.session(python="3.11")
def onnx_oldest(session: nox.Session) -> None:
    """Exported models in the oldest ONNX Runtime that they are made for; its NumPy is older than what ssnn needs."""
    session.install("-e", ".[onnx]")
    models = session.create_tmp()
    session.run("python", "tests/onnx_oldest.py", "export", models)
    session.install("onnxruntime==1.15.1", "numpy<2")
    session.run("python", "tests/onnx_oldest.py", "check", models)


@nox.session
def tests_torch(session: nox.Session) -> None:
    """The tests of PyTorch: run only when asked for, because it is large; pinned, to get a build of known size."""
    install(session, "torch==2.13.0")
    install(session, "-e", ".[jax,sklearn,strict,torch,test]")  # JAX and strict, for their arrays given to PyTorch
    env = requiring(session, "jax", "strict", "torch")
    session.run("pytest", "-m", "torch" + SLOW, *session.posargs, env=env)


@nox.session
def docs(session: nox.Session) -> None:
    """The pages; a warning is an error."""
    install(session, "-e", ".", *group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", str(Path(session.create_tmp(), "html")))


@nox.session
def package(session: nox.Session) -> None:
    """The distributions: built, checked, and the wheel installed and used where there is no checkout."""
    session.install("build", "twine")
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(folder / "dist"))
    session.run("twine", "check", "--strict", *map(str, (folder / "dist").iterdir()))
    session.install("--force-reinstall", *map(str, (folder / "dist").glob("*.whl")))
    session.chdir(folder)
    session.run("ssnn", "--version")
    session.run("ssnn", "train", "--data", "synthetic", "--iterations", "20")


@nox.session
def lowest(session: nox.Session) -> None:
    """The fast tests of NumPy, strict and JAX with the lowest versions that pyproject.toml allows.

    Those of whole commands are left out: they take long, and use no library in a way of their own.
    """
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    bounds = [*project["dependencies"], *extras["jax"], *extras["strict"], *extras["test"]]
    install(session, "-e", ".", *(bound.replace(">=", "==") for bound in bounds))
    env = requiring(session, "jax", "strict")
    left_out = [f"--ignore=tests/test_{part}.py" for part in COMMANDS]
    session.run("pytest", "-m", "not (cupy or torch or slow)", *left_out, *session.posargs, env=env)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """The benchmarks of every backend and peer that this machine can run, their tests, and the page they fill.

    PyTorch is pinned, as in its tests. What is given after -- goes to pytest.
    """
    install(session, "torch==2.13.0")
    install(session, "-e", ".[jax,strict,peers,report,test]")
    required = requiring(session, "jax", "keras", "matplotlib", "optax", "sklearn", "strict", "torch")
    tests = [f"tests/test_{part}.py" for part in ("limits", "optimizers", "peers", "programs", "report")]
    session.run("pytest", *tests, env=required)
    result = Path(session.create_tmp(), "result.json")
    session.run("pytest", "--benchmark-only", f"--benchmark-json={result}", *session.posargs)
    page = Path(session.create_tmp(), "page")
    page.mkdir(exist_ok=True)
    shutil.copy("README.md", page)
    session.run("python", "-m", "benchmarks.report", str(result), "--output", str(page))


@nox.session
def mutation(session: nox.Session) -> None:
    """Whether the tests notice a small mistake: Cosmic Ray makes one at a time in a module, and runs the tests for it.

    After -- comes how many of each module, drawn at random and always the same ones (else 15; 0 for all, which takes
    days), and the modules, if not all: nox -s mutation -- 50 network data/idx
    """
    install(session, "torch==2.13.0")
    install(session, "-e", ".[jax,strict,torch,test]", "cosmic-ray>=8.7")
    size, *modules = session.posargs or ["15"]
    copy = Path(session.create_tmp(), "copy").resolve()  # the tool changes files in their place
    shutil.rmtree(copy, ignore_errors=True)
    for part in ("ssnn", "tests"):
        shutil.copytree(part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("pyproject.toml", copy)
    session.chdir(copy)
    environment = {"PYTHONPATH": str(copy), "SSNN_DATA_DIR": "", "SSNN_REQUIRE": ""}
    for module in modules or MUTATED:
        left_out = {"cupy", "jax", "slow", "torch"} - {module.removeprefix("backends/")}
        tests = " ".join(f"tests/test_{part}.py" for part in MUTATED[module].split())
        command = f"python -m pytest -x -q -m 'not ({' or '.join(sorted(left_out))})' --deselect {TOO_LONG} {tests}"
        config, mutants = "cosmic-ray.toml", f"{module.replace('/', '-')}.sqlite"
        Path(config).write_text(COSMIC_RAY.format(path=f"ssnn/{module}.py", command=command))
        session.run("cosmic-ray", "baseline", config, env=environment)
        session.run("cosmic-ray", "init", config, mutants)
        of_interest = keep_sample(mutants, int(size))
        session.run("cosmic-ray", "exec", config, mutants, env=environment)
        session.log(f"ssnn/{module}.py: of {of_interest} mutants a sample was tried; these no test has noticed:")
        session.run("cr-report", "--surviving-only", "--show-diff", mutants)


def keep_sample(mutants: str, size: int) -> int:
    """Leave this number of mutants in a database of Cosmic Ray; return how many of interest there were."""
    with contextlib.closing(sqlite3.connect(mutants)) as connection, connection:
        order = "operator_name, occurrence"
        found = connection.execute(f"SELECT job_id, operator_name FROM mutation_specs ORDER BY {order}")
        of_interest = [job for job, operator in found if MUTATIONS.fullmatch(operator)]
        kept = random.Random(0).sample(of_interest, min(size or len(of_interest), len(of_interest)))
        for table in ("mutation_specs", "work_items"):
            others = f"DELETE FROM {table} WHERE job_id NOT IN (SELECT value FROM json_each(?))"
            connection.execute(others, [json.dumps(kept)])
    return len(of_interest)
