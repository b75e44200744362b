"""Run a command in which CuPy computes on the CPU: run.py [--folder FOLDER] COMMAND [ARGUMENT ...].

It builds the stand-in first, where that has not been done yet. README.md says how it works and what it cannot show.
"""

import argparse
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY = ["-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra"]
KERNEL = ["-std=c++17", "-O2", "-fPIC", "-w", "-fno-strict-aliasing", "-ffp-contract=off"]
PROBE = "#include <filesystem>\nauto path = std::filesystem::temp_directory_path();\n_Float16 half = 1;\n"
COMPILE = """#!/bin/sh
unset LD_PRELOAD
exec {compiler} -shared -include {include}/prelude.h -I {include} -x c++ "$@"
"""


class UnusableError(Exception):
    """Why the stand-in cannot be used here."""


def cupy_wheel() -> tuple[str, int]:
    """The installed CuPy, and the CUDA version that it is made for."""
    for package in ("nvidia-cublas", "nvidia-cublas-cu12", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"):
        if installed(package):
            raise UnusableError(f"CuPy would find NVIDIA's own library first, which {package} has brought")
    for major in (12, 13):
        if version := installed(f"cupy-cuda{major}x"):
            return f"cupy-cuda{major}x {version}", major
    raise UnusableError("neither cupy-cuda12x nor cupy-cuda13x is installed")


def installed(package: str) -> str | None:
    """The version of a package, if it is installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def openblas() -> tuple[str, str]:
    """The folders with the headers and the library of OpenBLAS."""
    try:
        import scipy_openblas32
    except ImportError:
        raise UnusableError("scipy-openblas32 is not installed") from None
    return scipy_openblas32.get_include_dir(), scipy_openblas32.get_lib_dir()


def find_compiler() -> list[str]:
    """The command of a compiler that knows C++17 and float16: $CXX, or else what is found on PATH."""
    chosen = shlex.split(os.environ.get("CXX", ""))
    candidates = [chosen] if chosen else [["g++"], ["clang++"]]
    for command in candidates:
        with tempfile.TemporaryDirectory() as folder:
            probe = [*command, "-std=c++17", "-fPIC", "-shared", "-x", "c++", "-", "-o", f"{folder}/probe"]
            try:
                subprocess.run(probe, input=PROBE, text=True, capture_output=True, check=True)
            except (OSError, subprocess.CalledProcessError):
                continue
            return command
    tried = ", ".join(map(shlex.join, candidates))
    raise UnusableError(f"there is no compiler of C++17 with _Float16, as g++ is from version 12 (tried: {tried})")


def build(folder: Path) -> tuple[Path, str]:
    """The folder with the stand-in for this compiler and this CuPy, and what it is made of."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise UnusableError(f"it is made for Linux on x86-64, and this is {platform.system()} on {platform.machine()}")
    import fcntl  # which not every platform has

    wheel, cuda = cupy_wheel()
    headers, libraries = openblas()
    compiler = find_compiler()
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256(repr((cuda, compiler, version, libraries)).encode())
    for source in [Path(__file__), *sorted(HERE.glob("*.cpp")), *sorted(HERE.glob("include/**/*.h"))]:
        key.update(source.read_bytes())
    place = folder.resolve() / key.hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "compile").exists():
            compile_all(place, compiler, cuda, headers, libraries)
    return place, f"{wheel}, {version.splitlines()[0]}"


def compile_all(place: Path, compiler: list[str], cuda: int, headers: str, libraries: str) -> None:
    """Build the libraries, and the script that compiles a kernel."""
    include, lib = place / "include", place / "lib"
    shutil.copytree(HERE / "include", include, dirs_exist_ok=True)
    lib.mkdir(exist_ok=True)

    def library(source: str, name: str, *options: str) -> None:
        command = [*compiler, *LIBRARY, f"-DCUDA_MAJOR={cuda}", "-I", str(include), str(HERE / source)]
        subprocess.run([*command, "-o", str(lib / name), f"-Wl,-soname,{name}", *options], check=True)

    # Preloaded, it may have its thread-local variables where access is cheapest.
    library("cuda.cpp", "libcuda.so.1", "-ftls-model=initial-exec", "-ldl")
    library("nvrtc.cpp", f"libnvrtc.so.{cuda}")
    library(
        "cublas.cpp",
        f"libcublas.so.{cuda}",
        *("-I", headers, "-L", libraries, "-lscipy_openblas", f"-Wl,-rpath,{libraries}"),
    )
    shutil.copy(lib / f"libcublas.so.{cuda}", lib / f"libcublasLt.so.{cuda}")  # looked for, and never called
    # What every kernel begins with, parsed once: that halves the time that a kernel takes.
    kernel = [*compiler, *KERNEL]
    prelude = str(include / "prelude.h")
    subprocess.run([*kernel, "-x", "c++-header", prelude, "-o", f"{prelude}.gch"], check=True)
    script = place / "unfinished"
    script.write_text(COMPILE.format(compiler=shlex.join(kernel), include=shlex.quote(str(include))))
    script.chmod(0o755)
    script.rename(place / "compile")  # which says that all is there


def environment(place: Path) -> dict[str, str]:
    """The environment in which CuPy takes the stand-in for CUDA."""

    def before(variable: str, value: Path) -> str:
        return ":".join(filter(None, [str(value), os.environ.get(variable)]))

    return os.environ | {
        "LD_PRELOAD": before("LD_PRELOAD", place / "lib" / "libcuda.so.1"),
        "LD_LIBRARY_PATH": before("LD_LIBRARY_PATH", place / "lib"),
        "CUDA_PATH": str(place),  # whose headers CuPy wants to see
        "CUPY_ACCELERATORS": "",  # CUB comes compiled for GPUs
        "CUPY_CACHE_DIR": str(place / "kernels"),
    }


def main() -> None:
    """Build what is missing, and become the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0] + ".")
    parser.add_argument(
        "--if-possible", action="store_true", help="run the command as it is where the stand-in cannot be used"
    )
    parser.add_argument(
        "--folder", type=Path, default=HERE / "build", help="for what is compiled (build/ beside this file)"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("there is no command to run")
    variables = dict(os.environ)
    try:
        place, parts = build(options.folder)
        variables = environment(place)
        print(f"CuPy runs on the CPU here: tests/cuda_on_cpu stands in for CUDA ({parts})", flush=True)
    except UnusableError as reason:
        print(f"CuPy needs a GPU here, because tests/cuda_on_cpu cannot stand in for CUDA: {reason}", flush=True)
        if not options.if_possible:
            parser.exit(1)
    os.execvpe(options.command[0], options.command, variables)


if __name__ == "__main__":
    main()
