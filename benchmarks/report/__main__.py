"""Turn result files into the page and the charts of the benchmarks: `python -m benchmarks.report FILES`.

Each file is one run on one machine: no table or chart mixes rows of two files. Nothing is written before all contents
are complete.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report.drawing import draw_charts
from benchmarks.report.page import page, summary
from benchmarks.report.results import COMMAND, read_results
from benchmarks.report.rows import stem
from ssnn.cli.program import Parser, command, exit_process
from ssnn.errors import SsnnError, UsageError
from ssnn.system.files import check_writable, write_text

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


@command("benchmarks.report")
def main(argv: Sequence[str]) -> None:
    """Read all files, make everything, and only then write."""
    parser = Parser(prog="python -m benchmarks.report", description="Write the page of the benchmarks and its charts.")
    parser.add_argument("files", nargs="+", metavar="FILE", help=f"a result of {COMMAND}")
    parser.add_argument("--output", default=str(ROOT), metavar="DIR", help="a checkout; by default this one")
    options = parser.parse_args(argv)
    results = [read_results(path) for path in options.files]
    stems = [stem(one) for one in results]
    if duplicates := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise UsageError(f"two files are named {duplicates[0]}, and so would be their charts; rename one")
    output = Path(options.output)
    charts = {name: content for one in results for name, content in draw_charts(one).items()}
    contents = {output / "benchmarks" / "charts" / name: content for name, content in charts.items()}
    contents[output / "benchmarks" / "README.md"] = page(results, charts)
    contents[output / "README.md"] = insert(output / "README.md", summary(results, charts))
    _write(contents)
    print("\n".join(f"{path} written" for path in contents))


def _write(contents: dict[Path, str]) -> None:
    for folder in {path.parent for path in contents}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SsnnError(f"{folder} cannot be created ({error.strerror})") from None
    for path in contents:
        check_writable(str(path))
    for path, content in contents.items():
        write_text(str(path), content)


def insert(readme: Path, text: str) -> str:
    """The content of a README with this text between its markers.

    Raises
    ------
    UsageError
        If it cannot be read, or does not have each marker once.
    """
    try:
        content = readme.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"{readme} cannot be read ({error.strerror}); --output names a checkout") from None
    except UnicodeDecodeError:
        raise UsageError(f"{readme} is not UTF-8") from None
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or content.count(BEGIN) > 1 or content.count(END) > 1:
        raise UsageError(f"{readme} needs a line {BEGIN} and below it a line {END}, each once, for the summary")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


if __name__ == "__main__":
    exit_process(main())
