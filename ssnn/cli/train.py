"""The train command: arguments in, progress, results and a model out."""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict, fields

from tqdm import tqdm

from ssnn.backends import Backend
from ssnn.cli.arguments import add_backend, add_data, load_data, open_backend
from ssnn.cli.program import Parser
from ssnn.cli.report import check_report, explain_wrong, write_report
from ssnn.cli.streams import keep_going
from ssnn.cli.tables import wrapped
from ssnn.data import Dataset, data_files
from ssnn.data.dataset import SIDE
from ssnn.errors import SsnnError, UsageError
from ssnn.model.metrics import Evaluation, listed, percent
from ssnn.model.model import Model, TrainedModel
from ssnn.model.record import DataSummary, Run
from ssnn.model.serialization import load_model, save_model
from ssnn.presets import ant, series
from ssnn.printable import printable
from ssnn.settings import LEARNING_RATES, OPTIONS, ORDERS, Settings
from ssnn.system.files import check_outputs, check_writable, write_json
from ssnn.system.signals import SIGNALLED, defer_first_signal
from ssnn.training.callbacks import CheckpointCallback, ProgressCallback
from ssnn.training.memory import check_memory
from ssnn.training.progress import Progress
from ssnn.training.progress_bar import progress_bar
from ssnn.training.trainer import fit

INDENT = 10  # of the results, in columns


def run(argv: Sequence[str]) -> int:
    """Parse, train, save, print; the exit code names the signal of a run that was stopped and saved."""
    options, resume = _parse(argv)
    if options.preset == "ant":
        return _run_ant(options)
    _check_outputs(options)
    if {options.save, options.json, options.html} - {None, "-"}:
        keep_going()
    settings = _settings(options)
    with redirect_stdout(sys.stderr) if options.json == "-" else nullcontext():  # there the JSON object stands alone
        backend = open_backend(options, "float32")
        check_memory(backend, settings, SIDE**2)
        dataset = load_data(options, tuple(options.digits), bar=_draws_bar(options), model=resume)
        _print_start(options, settings, dataset, backend)
        with _stopping(options.save) as signal_number:
            with _progress(settings, resume, options) as report:
                model = fit(
                    dataset,
                    backend,
                    settings,
                    resume=resume,
                    report=report,
                    checkpoint=_checkpoint(options.save) if options.checkpoint_every is not None else None,
                    checkpoint_every=options.checkpoint_every,
                    stopping=lambda costs: signal_number() is not None,
                )
            try:
                if options.save is not None:
                    save_model(model, options.save)
            finally:  # print results even if saving fails
                _print_results(options, model, dataset)
    if options.json is not None:
        write_json(options.json, model.to_json())
    number = signal_number()
    if number is not None and model.iterations < settings.iterations:
        passes = f"{model.iterations:.2f}".removesuffix(".00")
        done = f"stopped after {passes} of {settings.iterations} iterations and saved"
        print(f"ssnn train: {done}; to go on: {printable(_continuation(argv, options.save))}", file=sys.stderr)
        return SIGNALLED + number
    if options.html is not None:
        write_report(options.html, explain_wrong(model, dataset, backend), model, dataset)
    if not options.quiet and options.json != "-":
        print(_next_step(options), file=sys.stderr)
    return 0


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, Model | None]:
    """The arguments, and the model to be continued; what is not given comes from the preset, else from the model."""
    arguments = parser()
    options = arguments.parse_args(argv)
    if options.preset == "ant":
        _check_ant(arguments, options)
        return options, None
    resume = None if options.resume is None else load_model(options.resume)
    arguments.set_defaults(**_defaults(resume, options))
    return arguments.parse_args(argv), resume


def _settings(options: argparse.Namespace) -> Settings:
    given = {field.name: getattr(options, field.name) for field in fields(Settings)}
    hidden = () if list(options.hidden) == [0] else tuple(options.hidden)
    return Settings(**{name: value for name, value in given.items() if value is not None} | {"hidden": hidden})


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse what could not be written in the end, before anything is computed."""
    check_outputs([options.json, options.save, options.html], data_files(options.data_dir))
    check_outputs([options.json, options.html], [options.resume])
    if options.save == "-":
        raise UsageError("a model goes to a file, not to standard output")
    if options.checkpoint_every is not None and options.save is None:
        raise UsageError("--checkpoint-every needs --save FILE, where to save")
    for path in (options.json, options.save):
        if path is not None:
            check_writable(path)
    check_report(options.html)


def _defaults(resume: Model | None, options: argparse.Namespace) -> dict[str, object]:
    """Defaults of arguments: the preset's, else those of the model to be continued."""
    defaults: dict[str, object] = {}
    if resume is not None:
        of_model = {"dtype": resume.dtype, "digits": resume.data.digits}
        defaults |= asdict(resume.settings) | of_model | {"hidden": resume.settings.hidden or (0,)}
    if options.preset is not None:
        defaults |= {"dtype": series.DTYPE, **asdict(series.SERIES[options.preset])}
    if options.optimizer not in (None, defaults.get("optimizer")):
        of_another = {"learning_rate", *(name for names in OPTIONS.values() for name in names)}
        defaults = {name: value for name, value in defaults.items() if name not in of_another}
    return defaults


def _check_ant(arguments: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what has no meaning for one neuron and six numbers."""
    has = {"backend", "device", "dtype", "precision", "threads", "preset", "learning_rate", "iterations", "quiet"}
    for name, value in vars(options).items():
        value = tuple(value) if isinstance(value, list) else value
        if name not in has and value != arguments.get_default(name):
            flag = name.replace("_", "-")
            raise UsageError(f"--preset ant trains one neuron on six numbers of its own: --{flag} has no meaning")


def _run_ant(options: argparse.Namespace) -> int:
    backend = open_backend(options, series.DTYPE)
    chosen = Settings(
        learning_rate=ant.LEARNING_RATE if options.learning_rate is None else options.learning_rate,
        iterations=ant.ITERATIONS if options.iterations is None else options.iterations,
    )
    for line in ant.lines(backend, chosen.learning_rate, chosen.iterations):
        print(line, flush=True)
    return 0


def _stopping(path: str | None) -> AbstractContextManager[Callable[[], int | None]]:
    """Where there is a file to save to, the first signal lets the loop come back, as it does about once a second."""
    if path is None:
        return nullcontext(lambda: None)
    return defer_first_signal(f"stopping, once {printable(path)} is saved; another signal stops at once")


def _checkpoint(path: str) -> CheckpointCallback:
    """Save what has been reached; that it cannot be saved now is no reason to lose it."""

    def save(model: Model) -> None:
        try:
            save_model(model, path)
        except SsnnError as error:
            print(f"\nssnn train: warning: {error}; training goes on", file=sys.stderr)

    return save


def _continuation(argv: Sequence[str], path: str) -> str:
    """The command that goes on with what is saved: the same one, but for where it goes on from."""
    rest = list(argv)
    while "--resume" in rest:
        at = rest.index("--resume")
        del rest[at : at + 2]
    return shlex.join(["python", "-m", "ssnn.train", *rest, "--resume", path])


def parser() -> Parser:
    """The arguments."""
    default = Settings()
    parser = Parser(prog="ssnn train", description="Train a network that distinguishes two handwritten digits.")
    add_backend(parser, "that of a model to go on from, else float32")
    add_data(parser)

    add = parser.add_argument_group("training").add_argument
    add("--digits", type=int, nargs=2, default=(0, 1), metavar=("A", "B"), help="class 0 and class 1 (default: 0 1)")
    add(
        "--preset",
        choices=["ant", *series.SERIES],
        help="arithmetic (float64, constant features kept), hyperparameters and printed lines of the article, which is "
        "bear, or of its author's ant (one neuron), cat (mini-batches) or dolphin (Adam); explicit flags override it",
    )
    add(
        "--hidden",
        type=int,
        nargs="+",
        default=default.hidden,
        metavar="N",
        help="neurons per hidden layer, 0 for no hidden layer (default: 10)",
    )
    rates = ", ".join(f"{rate:g} with {optimizer}" for optimizer, rate in LEARNING_RATES.items())
    add("--learning-rate", type=float, metavar="RATE", help=f"(default: {rates})")
    add(
        "--iterations",
        type=int,
        metavar="N",
        help=f"passes over all training images (default: {default.iterations})",
    )
    add(
        "--batch-size",
        type=int,
        metavar="N",
        help="update after each mini-batch of N images (default: after all images)",
    )
    add("--order", metavar="ORDER", help=f"of the images in mini-batches: {' or '.join(ORDERS)} (default: {ORDERS[0]})")
    add("--optimizer", metavar="NAME", help=f"{', '.join(OPTIONS)} (default: {default.optimizer}, gradient descent)")
    for optimizer, of_it in OPTIONS.items():
        for name, value in of_it.items():
            flag = f"--{name.replace('_', '-')}"
            add(flag, type=float, metavar="X", help=f"of {optimizer} (default: {value:g})")
    add(
        "--seed",
        type=int,
        default=default.seed,
        help="of the initial weights, and of a random order (default: %(default)s)",
    )
    add(
        "--constant-features",
        default=default.constant_features,
        metavar="WHAT",
        help="drop or keep the pixels that never vary in training (default: %(default)s)",
    )

    add = parser.add_argument_group("keeping and continuing").add_argument
    add("--save", metavar="FILE", help="the model as a safetensors file, also when Ctrl-C or SIGTERM stops the run")
    add("--checkpoint-every", type=int, metavar="N", help="save after every N iterations too")
    add(
        "--resume",
        metavar="FILE",
        help="go on from a saved model, with its settings and data, up to --iterations in all",
    )

    add = parser.add_argument_group("output").add_argument
    add("--quiet", action="store_true", help="no progress on standard error")
    add("--html", metavar="FILE", help="explain the trained network on a page, as `ssnn explain --html` does")
    add("--json", metavar="FILE", help="write everything about the run as one JSON object; - is standard output")
    return parser


def _draws_bar(options: argparse.Namespace) -> bool:
    return sys.stderr.isatty() and not options.quiet


def _print_start(options: argparse.Namespace, settings: Settings, dataset: Dataset, backend: Backend) -> None:
    """What is trained on what, and the article's heading."""
    if not options.quiet:
        where, (zero, one) = backend.describe(), dataset.classes
        threads = f", {where.threads} threads" if where.threads else ""
        images = f"{len(dataset.train):,} training and {len(dataset.test):,} test images"
        library = f"{where.library} {where.version} on {where.device}{threads}"
        print(printable(f"{library}, {where.dtype}, precision {where.precision}"), file=sys.stderr)
        print(wrapped(f"{dataset.name} digits {zero} and {one} ({dataset.origin}): {images}", 2), file=sys.stderr)
        if updates := _updates(settings, len(dataset.train)):
            print(wrapped(updates, 2), file=sys.stderr)
    if options.preset is not None:
        print(series.heading(options.preset, settings, len(dataset.train)), flush=True)


def _updates(settings: Settings, samples: int) -> str:
    """How parameters are updated, if otherwise than in the article."""
    words = [] if settings.optimizer == "gd" else [f"{settings.optimizer}, learning rate {settings.learning_rate:g}"]
    if settings.batch_size is not None and settings.updates_per_iteration(samples) == 1:
        words.append(f"full batch: there are {samples:,} images, and the batch size is {settings.batch_size:,}")
    elif settings.batch_size is not None:
        order = "a random order" if settings.order == "random" else "the order of the file"
        words.append(f"mini-batches of {settings.batch_size:,} in {order}")
    return "; ".join(words)


def _print_results(options: argparse.Namespace, model: TrainedModel, dataset: Dataset) -> None:
    """The scores, in the author's wording with a preset, and the times."""
    if options.preset is None:
        print(_scores(model.data, model.run), _times(model), sep="\n")
        return
    print(series.ending(options.preset, model, dataset))
    if not options.quiet:
        print(_times(model), file=sys.stderr)


def _next_step(options: argparse.Namespace) -> str:
    """Where the model is, and the command that explains it."""
    if options.save is None:
        return "the model is not kept; to keep it: --save FILE"
    data = [] if options.data_dir is None else ["--data-dir", options.data_dir]
    command = shlex.join(["ssnn", "explain", "--model", options.save, *data])
    return printable(f"saved to {options.save}; see why: {command}")


@contextmanager
def _progress(
    settings: Settings, resume: Model | None, options: argparse.Namespace
) -> Iterator[ProgressCallback | None]:
    """A preset's lines, a progress bar on a terminal, plain lines where there is none, nothing when quiet."""
    done = len(resume.costs) if resume else 0
    if options.preset is not None:
        yield _preset_lines(options.preset, done)
    elif options.quiet:
        yield None
    elif not _draws_bar(options):
        yield lambda progress: print(f"iteration {progress.iteration:5d}  {progress}", file=sys.stderr, flush=True)
    else:
        with progress_bar(tqdm, settings.iterations, int(resume.iterations) if resume else 0) as report:
            yield report


def _preset_lines(preset: str, shown: int) -> ProgressCallback:
    """Print the lines of a preset; of those for each update, all but the `shown` first."""

    def report(progress: Progress) -> None:
        nonlocal shown
        for line in series.progress_lines(preset, progress, shown):
            print(line)
        sys.stdout.flush()
        shown = len(progress.costs)

    return report


def _scores(used: DataSummary, run: Run) -> str:
    return "\n".join(
        [
            f"{used.name} digits, {used.features} pixels used, {used.constant_features} never vary in training",
            wrapped(f"training: {_score(run.train)}", INDENT),
            wrapped(f"test:     {_score(run.test)}", INDENT),
        ]
    )


def _score(score: Evaluation) -> str:
    images = f": {listed(score.errors)}" if score.errors else ""
    return f"{len(score.errors)} of {score.samples:,} wrong, an error rate of {percent(score.error_rate)}{images}"


def _times(model: TrainedModel) -> str:
    seconds, updates = model.run.seconds, model.run.updates
    minibatches = model.settings.updates_per_iteration(model.data.train) > 1
    each = 1e3 * seconds.iterations / updates
    return wrapped(
        f"time:     load {seconds.load:.2f} s, transfer {seconds.transfer:.2f} s, compile {seconds.compile:.2f} s, "
        f"{updates:,} {'updates' if minibatches else 'iterations'} {seconds.iterations:.2f} s ({each:.2f} ms each), "
        f"total {seconds.total:.2f} s",
        INDENT,
    )
