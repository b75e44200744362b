"""The project's checks, each in an environment of its own: `pip install nox && nox`.

Where nothing can be installed, `nox --no-venv` runs them with what is there. The tests find MNIST through
SSNN_DATA_DIR; what SSNN_REQUIRE names (for instance mnist,jax) must run and may not skip. Tests that are marked slow
run only if it names slow too.
"""

import os
import shutil
import sys
import tomllib
from pathlib import Path

import nox

REQUIRED = os.environ.get("SSNN_REQUIRE", "")
SLOW = "" if "slow" in REQUIRED.split(",") else " and not slow"
HAS_GPU = shutil.which("nvidia-smi") is not None

nox.options.sessions = ["lint", "types", "tests", "tests_extras", *(["tests_torch"] if "torch" in REQUIRED else [])]
nox.options.error_on_missing_interpreters = True
if len(sys.argv) == 1:
    names = ", ".join(nox.options.sessions)
    print(f"{names}: each in an environment of its own, in all about ten minutes on two cores, most of it the tests")

PACKAGES = {
    "numpy": ["-e", ".[test]"],
    "strict": ["-e", ".[strict,test]"],
    "jax": ["-e", ".[jax,test]"],
    # The CUDA libraries are large, and of use only to a GPU; without one, OpenBLAS is to multiply.
    "cupy": ["-e", ".[cuda12,sklearn,test]"]
    if HAS_GPU
    else ["-e", ".[sklearn,test]", "cupy-cuda12x", "scipy-openblas32"],
}
EXTRAS = ("estimator", "explain_browser", "explain_page", "front_door", "metrics", "notebook", "onnx_export")
NO_OTHER_LIBRARY = "not (cupy or jax or strict or torch)"


def install(session: nox.Session, *packages: str) -> None:
    """Install into the session's environment, if it has one."""
    if session.venv_backend != "none":
        session.install(*packages)


def requiring(session: nox.Session, libraries: str) -> dict[str, str]:
    """The environment of tests that must not skip for want of these libraries, where the session has installed them."""
    return {"SSNN_REQUIRE": f"{REQUIRED},{libraries}"} if session.venv_backend != "none" else {}


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
    install(session, "-e", ".[lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict type checking of ssnn."""
    install(session, "-e", ".[types]")
    session.run("mypy")


@nox.session
@nox.parametrize("backend", list(PACKAGES), ids=list(PACKAGES))
def tests(session: nox.Session, backend: str) -> None:
    """The tests of one backend; with NumPy all those that need no other library."""
    install(session, *PACKAGES[backend])
    command = ["pytest", "-m", (NO_OTHER_LIBRARY if backend == "numpy" else backend) + SLOW, *session.posargs]
    if backend == "cupy":
        command = on_cpu(session, command)
    session.run(*command)


@nox.session
def tests_extras(session: nox.Session) -> None:
    """The tests of the scikit-learn estimator, the ONNX export and the report, with what they are made for.

    Those in a browser need a Chromium on the machine; those of CuPy and of PyTorch run in sessions of their own.
    """
    install(session, "-e", ".[browser,docs,jax,onnx,report,sklearn,strict,test,types]", "onnxruntime", "pandas")
    session.run(
        "pytest",
        "-m",
        "not (cupy or torch)" + SLOW,
        *(f"tests/test_{part}.py" for part in EXTRAS),
        *session.posargs,
        env=requiring(
            session,
            "ipykernel,jinja2,matplotlib,mypy,nbclient,nbformat,onnx,onnxruntime,pandas,playwright,sklearn",
        ),
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
    install(session, "-e", ".[sklearn,torch,test]")
    session.run("pytest", "-m", "torch" + SLOW, *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests of NumPy, strict and JAX with the lowest versions that pyproject.toml allows."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    bounds = [*project["dependencies"], *extras["jax"], *extras["strict"], *extras["test"]]
    install(session, "-e", ".", *(bound.replace(">=", "==") for bound in bounds))
    session.run("pytest", "-m", "not (cupy or torch)" + SLOW, *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """The benchmarks of every backend and peer that this machine can run, their tests, and the page they fill.

    PyTorch is pinned, as in its tests. What is given after -- goes to pytest.
    """
    install(session, "torch==2.13.0")
    install(session, "-e", ".[jax,strict,peers,report,test]")
    required = requiring(session, "keras,matplotlib,optax,sklearn")
    tests = [f"tests/test_{part}.py" for part in ("limits", "peers", "programs", "report")]
    session.run("pytest", *tests, env=required)
    result = Path(session.create_tmp(), "result.json")
    session.run("pytest", "--benchmark-only", f"--benchmark-json={result}", *session.posargs)
    page = Path(session.create_tmp(), "page")
    page.mkdir(exist_ok=True)
    shutil.copy("README.md", page)
    session.run("python", "-m", "benchmarks.report", str(result), "--output", str(page))
