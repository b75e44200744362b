"""A training session in a shell: arguments in, progress and results out."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TextIO

from tqdm import tqdm

from ssnn import article, backends, data
from ssnn.command import Parser, check_writable, write_json
from ssnn.records import Progress, Report, Result, Score, Settings
from ssnn.trainer import train

ERRORS_SHOWN = 10


def run(argv: Sequence[str]) -> None:
    """Parse, train, print."""
    options = _parse(argv)
    if options.json is not None:
        check_writable(options.json)
    settings = Settings(
        hidden=() if list(options.hidden) == [0] else tuple(options.hidden),
        learning_rate=options.learning_rate,
        iterations=options.iterations,
        seed=options.seed,
        constant_features=options.constant_features,
    )
    backend = backends.open_backend(options.backend, options.device, options.dtype, options.precision, options.threads)
    bar = sys.stderr.isatty() and not options.quiet
    digits = data.load(options.data, options.data_dir or None, tuple(options.digits), progressbar=bar)
    if options.data == "auto" and digits.name == "synthetic":
        print(f"synthetic digits: {digits.origin}", file=sys.stderr)
    if not options.quiet:
        print(_what_runs_where(digits, backend.describe()), file=sys.stderr)

    results = sys.stderr if options.json == "-" else sys.stdout
    if options.preset == "article":
        print(article.heading(settings), file=results, flush=True)
        result = train(digits, backend, settings, lambda progress: _print(article.progress_line(progress), results))
        print(article.verdict(result.test), file=results)
        if not options.quiet:
            print(_times(result), file=sys.stderr)
    else:
        with _progress(settings, quiet=options.quiet, bar=bar) as report:
            result = train(digits, backend, settings, report)
        print(_scores(result), _times(result), sep="\n", file=results)
    if options.json is not None:
        write_json(options.json, result.to_json())


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.preset == "article":
        parser.set_defaults(dtype=article.DTYPE, **asdict(article.SETTINGS))
        options = parser.parse_args(argv)
    return options


def _parser() -> Parser:
    default = Settings()
    backend = os.environ.get("SSNN_BACKEND") or "numpy"
    data_dir = os.environ.get("SSNN_DATA_DIR")
    parser = Parser(prog="ssnn train", description="Train a network that tells two handwritten digits apart.")

    add = parser.add_argument_group("what runs where").add_argument
    add(
        "--backend",
        default=backend,
        metavar="NAME",
        help=f"{', '.join(backends.BUILT_IN)} or one that another package adds (default: SSNN_BACKEND, else numpy)",
    )
    add("--device", help="cpu, gpu, cuda, or one of several as in cuda:1 (default: a GPU if the backend has one)")
    add("--dtype", default="float32", help=f"{' or '.join(backends.DTYPES)} (default: %(default)s)")
    add(
        "--precision",
        default="highest",
        help="of matrix products, highest or, on NVIDIA GPUs, tf32 (default: %(default)s)",
    )
    add("--threads", type=int, metavar="N", help="for matrix products on the CPU (default: the library's choice)")

    add = parser.add_argument_group("data").add_argument
    add(
        "--data",
        default="auto",
        metavar="SOURCE",
        help="mnist, synthetic, or auto for mnist where it can be had (default: %(default)s)",
    )
    add("--data-dir", default=data_dir, metavar="DIR", help="folder of MNIST's four files (default: SSNN_DATA_DIR)")
    add("--digits", type=int, nargs=2, default=(0, 1), metavar=("A", "B"), help="class 0 and class 1 (default: 0 1)")

    add = parser.add_argument_group("training").add_argument
    add(
        "--preset",
        choices=["article"],
        help="the article's arithmetic (float64, constant features kept), "
        "hyperparameters and printed lines; other flags still count",
    )
    add(
        "--hidden",
        type=int,
        nargs="+",
        default=default.hidden,
        metavar="N",
        help="neurons per hidden layer, 0 for no hidden layer (default: 10)",
    )
    add("--learning-rate", type=float, default=default.learning_rate, metavar="RATE", help="(default: %(default)s)")
    add(
        "--iterations",
        type=int,
        default=default.iterations,
        metavar="N",
        help="each over all training images (default: %(default)s)",
    )
    add("--seed", type=int, default=default.seed, help="of the initial weights (default: %(default)s)")
    add(
        "--constant-features",
        default=default.constant_features,
        metavar="WHAT",
        help="drop or keep the pixels that never vary in training (default: %(default)s)",
    )

    add = parser.add_argument_group("output").add_argument
    add("--quiet", action="store_true", help="no progress on standard error")
    add("--json", metavar="FILE", help="write everything about the run as one JSON object; - is standard output")
    return parser


def _what_runs_where(digits: data.Digits, where: backends.Description) -> str:
    threads = f", {where.threads} threads" if where.threads else ""
    zero, one = digits.digits
    return (
        f"{where.library} {where.version} on {where.device}{threads}, {where.dtype}, precision {where.precision}\n"
        f"{digits.name} digits {zero} and {one}: {len(digits.train):,} training and {len(digits.test):,} test images"
    )


@contextmanager
def _progress(settings: Settings, quiet: bool, bar: bool) -> Iterator[Report | None]:
    """A progress bar on a terminal, plain lines where there is none, nothing when quiet."""
    if quiet:
        yield None
    elif not bar:
        yield lambda progress: _print(f"iteration {progress.iteration:5d}  {_cost_and_speed(progress)}", sys.stderr)
    else:
        layout = "{l_bar}{bar}| {n_fmt}/{total_fmt} iterations{postfix}"
        with tqdm(total=settings.iterations, bar_format=layout, dynamic_ncols=True) as drawn:

            def advance(progress: Progress) -> None:
                drawn.set_postfix_str(_cost_and_speed(progress), refresh=False)
                drawn.update(progress.iteration - drawn.n)

            yield advance


def _cost_and_speed(progress: Progress) -> str:
    return f"cost {progress.cost:.6f}  {1e3 * progress.seconds / progress.iteration:.2f} ms per iteration"


def _scores(result: Result) -> str:
    used = result.data
    return (
        f"{used.name} digits, {used.features} pixels used, {used.constant_features} never vary in training\n"
        f"training: {_score(result.train)}\n"
        f"test:     {_score(result.test)}"
    )


def _score(score: Score) -> str:
    shown = ", ".join(str(index) for index in score.errors[:ERRORS_SHOWN])
    more = f" and {len(score.errors) - ERRORS_SHOWN} more" if len(score.errors) > ERRORS_SHOWN else ""
    images = f": image {shown}{more}" if shown else ""
    return f"{len(score.errors)} of {score.samples:,} wrong, an error rate of {score.error_rate:.4%}{images}"


def _times(result: Result) -> str:
    seconds, iterations = result.seconds, result.settings.iterations
    return (
        f"time:     load {seconds.load:.2f} s, transfer {seconds.transfer:.2f} s, compile {seconds.compile:.2f} s, "
        f"{iterations} iterations {seconds.iterations:.2f} s ({1e3 * seconds.iterations / iterations:.2f} ms each), "
        f"total {seconds.total:.2f} s"
    )


def _print(line: str, file: TextIO) -> None:
    print(line, file=file, flush=True)
