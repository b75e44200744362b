import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support import import_or_skip

from benchmarks.report import __main__, page, results, rows
from benchmarks.report.charts import spread
from ssnn.errors import DataError, UsageError

README = "# a project\r\n\nbefore\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nafter"
HIDDEN = (10, 100)
LIMITS = {10: 2.0, 100: 10.0}  # ms
PROGRAMS = {  # ms per iteration by hidden layer
    ("iteration", "numpy", "numpy", "float32"): (6.0, 20.0),
    ("iteration", "jax", "jax", "float32"): (3.0, 12.0),
    ("peer", "PyTorch", "torch", "float32"): (12.0, 24.0),
    ("peer", "Keras", "keras", "float32"): (15.0, 12.1),
    ("iteration", "numpy", "numpy", "float64"): (11.0, 41.0),
    ("peer", "article", "numpy", "float64"): (48.0,),
}

EPOCH = "one epoch, mini-batches of 84, Adam, 10 hidden neurons (CPU, float32)"
EPOCHS = {  # ms of a pass of 150 updates, with 10 hidden neurons
    ("epoch", "numpy", "numpy"): 15.0,
    ("epoch", "jax", "jax"): 6.0,
    ("peer epoch", "JAX + optax", "optax"): 15.1,
    ("peer epoch", "PyTorch", "torch"): 60.0,
}


def result(scale=1.0, cpu="Slow 1", **changes):
    """A result file in which every time is known."""
    rows = [
        iteration(*program, hidden, scale * ms, scale)
        for program, times in PROGRAMS.items()
        for hidden, ms in zip(HIDDEN, times, strict=False)
    ]
    device = {"device": "cpu", "dtype": "float32"}
    limit = {"kind": "limit", "library": "numpy", "matmul_gflops": 123.4 / scale, "bandwidth_gbs": 21.0 / scale}
    rows += [row(1, **device, **limit)] * 2
    for samples in (12665, 126650, 1266500):
        rows.append(growth(samples, 10, scale * 5 * samples / 12665, peak_bytes=5 * 784 * samples))
    rows.append(growth(12665, 1000, scale * 50, peak_bytes=10**8))
    for program, ms in EPOCHS.items():
        rows.append(epoch(*program, scale * ms, scale))
    for name, seconds in (("ssnn numpy", 0.8), ("ssnn jax", 2.5), ("PyTorch", 4.0), ("scikit-learn", 2.0)):
        rows.append(row(scale * seconds, kind="epoch process", name=name, data="mnist", wrong=4, test_images=2115))
    for name, seconds in (("import ssnn", 0.125), ("ssnn.train", 4.0), ("article", 16.0)):
        rows.append(row(scale * seconds, kind="startup", name=name, data="mnist"))
    machine = {
        "cpu": cpu,
        "cores": 2,
        "memory_bytes": 2**33,
        "blas": [{"name": "openblas", "version": "0.3", "threads": 2, "architecture": "Zen"}],
        "gpu": [],
        "driver": None,
        "libraries": {"numpy": "2.4.6"},
        "python": "3.11.9",
        "system": "Linux 6",
    }
    return {
        "machine_info": {"ssnn": machine},
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "datetime": "2026-01-02T03:04:05+00:00",
        "benchmarks": rows,
    } | changes


def row(seconds, **extra):
    stats = {"median": seconds, "min": 0.99 * seconds, "max": 1.01 * seconds, "rounds": 7}
    return {"group": "g", "name": "n", "stats": stats, "extra_info": extra}


def iteration(kind, name, library, dtype, hidden, ms, scale):
    return row(
        ms * 25 / 1e3,
        kind=kind,
        name=name,
        library=library,
        device="cpu",
        dtype=dtype,
        precision="highest",
        threads=2,
        data="mnist",
        samples=12665,
        features=617 if kind == "iteration" else 784,
        hidden=[hidden],
        iterations=25,
        ms_per_iteration=ms,
        limit_ms=scale * LIMITS[hidden],
        transfer_seconds=0.01,
        compile_seconds=0,
        first_call_seconds=None,
        disagreement=2e-7,
        tolerance=1e-4,
    )


def epoch(kind, name, library, ms, scale):
    """Its row is that of an iteration, but for the batches and the number of passes in a call."""
    made = iteration(kind, name, library, "float32", 10, ms, scale)
    made["extra_info"] |= {"optimizer": "adam", "batch_size": 84, "updates": 150, "iterations": 1}
    made["extra_info"] |= {"features": 617, "limit_ms": scale * 1.5}
    made["stats"] |= {"median": ms / 1e3, "min": 0.99 * ms / 1e3, "max": 1.01 * ms / 1e3}
    return made


def growth(samples, hidden, ms, peak_bytes):
    return row(
        ms / 1e3,
        kind="growth",
        name="numpy",
        device="cpu",
        dtype="float32",
        data="synthetic",
        samples=samples,
        features=700,
        hidden=[hidden],
        ms_per_iteration=ms,
        transfer_seconds=0.01,
        peak_bytes=peak_bytes,
        input_values=784 * samples,
        disagreement=2e-7,
        tolerance=6e-5,
    )


@pytest.fixture
def files(tmp_path):
    """Results of two machines, one a thousand times slower, as files."""
    paths = tmp_path / "fast.json", tmp_path / "slow.json"
    for path, content in zip(paths, (result(), result(1000.0, "Slower 2")), strict=True):
        path.write_text(json.dumps(content))
    return [str(path) for path in paths]


@pytest.fixture
def checkout(tmp_path):
    """A folder with a README that has the markers."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "README.md").write_bytes(README.encode())
    return folder


@pytest.fixture
def write(checkout):
    """The program, where it can draw, and then the bytes of all files there."""
    import_or_skip("matplotlib")

    def write(*arguments):
        assert __main__.main([*arguments, "--output", str(checkout)]) == 0
        return {path.relative_to(checkout): path.read_bytes() for path in checkout.rglob("*") if path.is_file()}

    return write


def page_of(*paths):
    return page.page([results.read_results(path) for path in paths], {})


def tables(text):
    """All tables of a page, each as its lines of cells."""
    found = re.findall(r"(?:^\|.*\n)+", text + "\n", re.M)
    return [[re.split(r" ?\| ?", line)[1:-1] for line in table.splitlines()] for table in found]


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_that_power(power):
    assert rows.exponent((x, 3 * x**power) for x in (1, 7, 50)) == pytest.approx(power)


def test_the_exponent_is_the_least_squares_line_through_the_logarithms():
    # log2: (0, 0), (1, 2), (2, 1): the slope is (2·1 + 1·2 - 3·1·1) / (1 + 4 - 3·1) = ½
    assert rows.exponent([(1, 1), (2, 4), (4, 2)]) == pytest.approx(0.5)


def test_labels_move_no_more_than_needed():
    assert spread([0.1, 0.5, 0.5, 0.98, 0.99], 0.1) == pytest.approx([0.1, 0.45, 0.55, 0.9, 1.0])


def test_the_summary_compares_our_fastest_backend_with_the_fastest_library_and_the_limit(files):
    text = page.summary([results.read_results(files[0])], {})
    assert tables(text)[:1] == [
        [
            [*page.OVERVIEW_HEADS],
            ["---", "---:", "---:", "---:", "---:", "---:", "---:"],
            ["10", "ssnn jax", "3.00", "PyTorch", "12.0", "0.25", "1.5"],
            ["100", "ssnn jax", "12.0", "Keras", "12.1", "≈ 0.99", "1.2"],
        ]
    ]
    assert text.startswith("Every program trains the same network on the same data")
    assert "Slow 1, 2 cores; CPU, float32, 12,665 images (mnist):" in text
    assert "From fast.json (2026-01-02, commit 0123456789)" in text


def test_headlines_are_ratios_of_known_rows(files):
    assert page.headlines(results.read_results(files[0])) == [
        (
            "one iteration, 10 hidden neurons: ssnn numpy in float32 ÷ the article's program",
            "0.12 (6.00 ms ÷ 48.0 ms)",
        ),
        (f"{EPOCH}: fastest other library ÷ ssnn numpy", "1.0 (101 µs ÷ 100 µs)"),
        (f"{EPOCH}: fastest other library ÷ ssnn jax", "2.5 (101 µs ÷ 40.0 µs)"),
        ("the whole default run, start to end: ssnn.train ÷ the article's program", "0.25 (4.00 s ÷ 16.0 s)"),
        ("a whole process with one epoch (mnist): fastest other library ÷ ssnn numpy", "2.5 (2.00 s ÷ 0.800 s)"),
        ("a whole process with one epoch (mnist): fastest other library ÷ ssnn jax", "0.80 (2.00 s ÷ 2.50 s)"),
        ("ssnn numpy, 10 hidden neurons (CPU, float32, synthetic): exponent of time over images", "1.00"),
        ("ssnn numpy, 10 hidden neurons (CPU, float32, synthetic): bytes per input value at 1,266,500 images", "5.00"),
    ]


def test_every_row_of_the_file_stands_in_the_page(files):
    found = tables(page_of(files[0]))
    assert [line[:3] for line in found[2][2:]] == [
        ["ssnn jax", "617", "3.00"],
        ["ssnn numpy", "617", "6.00"],
        ["PyTorch", "784", "12.0"],
        ["Keras", "784", "15.0"],
    ]
    assert ["ssnn jax", "617", "3.00", "2.97–3.03", "0.25", "1.5", "0.000", "0.010", "2e-07"] in found[2]
    assert ["article", "784", "48.0", "47.5–48.5", "–", "24", "0.000", "0.010", "2e-07"] in found[4]
    epoch, limits, sizes, fits, processes, epoch_processes = found[-6:]
    assert epoch[0][:3] == ["program", "inputs", "µs per update"]
    assert epoch[2] == ["ssnn jax", "617", "40.0", "39.6–40.4", "0.40", "4.0", "0.000", "0.010", "2e-07"]
    assert [(line[0], line[2], line[4]) for line in epoch[3:]] == [
        ("ssnn numpy", "100", "≈ 0.99"),
        ("JAX + optax", "101", "1.0"),
        ("PyTorch", "400", "4.0"),
    ]
    assert epoch_processes[2:] == [
        ["ssnn numpy", "mnist", "0.800", "0.792–0.808", "0.40", "4 of 2,115"],
        ["scikit-learn", "mnist", "2.00", "1.98–2.02", "1.0", "4 of 2,115"],
        ["ssnn jax", "mnist", "2.50", "2.48–2.52", "1.2", "4 of 2,115"],
        ["PyTorch", "mnist", "4.00", "3.96–4.04", "2.0", "4 of 2,115"],
    ]
    assert limits[2:] == [["cpu", "float32", "numpy", "123", "21.0"]]
    assert ["ssnn numpy", "1,266,500", "10", "500", "0.010", "4,735", "5.00"] in sizes
    assert fits[2:] == [
        ["ssnn numpy, 10 hidden neurons", "images", "1.00"],
        ["ssnn numpy, 12,665 images", "neurons", "0.50"],
    ]
    assert ["ssnn.train", "mnist", "4.00", "3.96–4.04", "0.25"] in processes


def test_a_product_in_less_precision_is_shown_and_not_compared(tmp_path):
    content = result()
    content["benchmarks"][2]["extra_info"] |= {"ms_per_iteration": 1.0, "precision": "tf32"}
    (tmp_path / "tf32.json").write_text(json.dumps(content))
    text = page_of(str(tmp_path / "tf32.json"))
    assert "| ssnn jax, tf32 | 617 | 1.00 |" in text
    assert "| 10 | ssnn numpy | 6.00 | PyTorch | 12.0 | 0.50 | 3.0 |" in text


def test_the_faster_inputs_of_a_library_count_and_are_named(tmp_path):
    content = result()
    for peer in [r for r in content["benchmarks"] if r["extra_info"]["kind"] == "peer"]:
        ms = 0.5 * peer["extra_info"]["ms_per_iteration"] if peer["extra_info"]["name"] == "PyTorch" else 99.0
        changes = {"features": 617, "ms_per_iteration": ms}
        content["benchmarks"].append(peer | {"extra_info": peer["extra_info"] | changes})
    (tmp_path / "inputs.json").write_text(json.dumps(content))
    read = results.read_results(str(tmp_path / "inputs.json"))
    text = page.page([read], {})
    assert "| 10 | ssnn jax | 3.00 | PyTorch, 617 inputs | 6.00 | 0.50 | 1.5 |" in text
    assert "| PyTorch | 617 | 6.00 |" in text
    assert "| PyTorch | 784 | 12.0 |" in text
    kept = [row for row in rows.at_faster_inputs(read.iterations) if row.hidden == (10,)]
    assert sorted((row.name, row.features) for row in kept if not row.ours) == [
        ("Keras", 784),
        ("PyTorch", 617),
        ("article", 784),
    ]


def test_further_runs_are_folded_away_in_the_summary(files):
    text = page.summary([results.read_results(path) for path in files], {})
    shown, folded = text.split("<details>")
    assert "Slow 1, 2 cores" in shown
    assert "Slower 2" not in shown
    assert "Slower 2, 2 cores" in folded.partition("</details>")[0]


def test_libraries_in_float64_have_an_overview_of_their_own(tmp_path):
    content = result()
    peer = content["benchmarks"][4]
    content["benchmarks"].append(peer | {"extra_info": peer["extra_info"] | {"dtype": "float64"}})
    (tmp_path / "float64.json").write_text(json.dumps(content))
    text = page_of(str(tmp_path / "float64.json"))
    assert "### In short: CPU, float64" in text
    assert "| 10 | ssnn numpy | 11.0 | PyTorch | 12.0 | 0.92 | 5.5 |" in text


def test_rows_of_different_devices_data_or_sizes_share_no_table(tmp_path):
    content = result()
    peer = content["benchmarks"][4]
    assert peer["extra_info"]["name"] == "PyTorch"
    for change in ({"device": "cuda:0 (H100)"}, {"data": "synthetic"}, {"samples": 7}, {"hidden": [11]}):
        content["benchmarks"].append(peer | {"extra_info": peer["extra_info"] | {"ms_per_iteration": 0.1} | change})
    (tmp_path / "many.json").write_text(json.dumps(content))
    text = page_of(str(tmp_path / "many.json"))
    assert text.count("| PyTorch | 784 | 0.100 |") == 4  # each in a table of its own
    assert "| 10 | ssnn jax | 3.00 | PyTorch | 12.0 | 0.25 | 1.5 |" in text


def test_files_of_two_machines_share_no_section(files):
    sections = page_of(*files).split("\n## ")[1:]
    for section, path in zip(sections, files, strict=True):
        assert section.strip() == page_of(path).split("\n## ")[1].strip()
    assert [section.splitlines()[0] for section in sections] == ["Slow 1, 2 cores", "Slower 2, 2 cores"]


def test_what_was_not_measured_is_left_out(tmp_path):
    content = result()
    content["benchmarks"] = [r for r in content["benchmarks"] if r["extra_info"]["kind"] == "startup"]
    content["benchmarks"].append(row(1, something="else"))
    (tmp_path / "few.json").write_text(json.dumps(content))
    text = page_of(str(tmp_path / "few.json"))
    assert re.findall("^###? (.*)", text, re.M) == ["Slow 1, 2 cores", "Other figures", "Start to end"]


def test_all_is_written_and_nothing_outside_the_markers(files, write):
    written = write(*files)
    names = [
        f"{stem}-{rest}.svg"
        for stem in ("fast", "slow")
        for rest in ("growth-CPU-float32-synthetic", "iteration-CPU-mnist-12665-float32")
    ]
    charts = sorted(path.name for path in written if path.suffix == ".svg")
    assert charts == names
    assert len(written) == len(names) + 2
    readme, text = (written[Path(path)].decode() for path in ("README.md", "benchmarks/README.md"))
    before, after = README.split("old")
    assert readme.startswith(before)
    assert readme.endswith(after)
    assert "old" not in readme
    assert re.findall(r"!\[.*\]\((.*)\)", readme) == [f"benchmarks/charts/{names[1]}"]
    assert sorted(re.findall(r"!\[.*\]\(charts/(.*)\)", text)) == names


def test_charts_are_drawings_on_white_without_a_date(files, write):
    for path, content in write(files[0]).items():
        if path.suffix == ".svg":
            assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
            assert b"fill: #ffffff" in content
            assert b"<dc:date>" not in content


def test_running_twice_gives_the_same_bytes(files, write):
    assert write(*files) == write(*files)


def test_without_matplotlib_one_line_says_what_to_install(files, checkout, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert __main__.main([*files, "--output", str(checkout)]) == 3
    assert_one_line(capsys, 'pip install -e ".[report]"')
    assert_untouched(checkout)


def changed(**extra):
    content = result()
    content["benchmarks"][0]["extra_info"] |= extra
    return json.dumps(content)


def epoch_without(name):
    made = epoch("epoch", "numpy", "numpy", 15.0, 1.0)
    del made["extra_info"][name]
    return made


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a result of these benchmarks"),
        ('{"machine_info": {"cpu": {}}, "benchmarks": []}', "no 'ssnn'"),
        (json.dumps(result(benchmarks=None)), "is not a result of these benchmarks"),
        (json.dumps(result(benchmarks=[row(1, kind="foreign")])), "holds no row"),
        (changed(ms_per_iteration=None), "iteration: ms_per_iteration is null"),
        (changed(ms_per_iteration=0), "iteration: ms_per_iteration is 0"),
        (changed(ms_per_iteration=float("nan")), "iteration: ms_per_iteration is NaN"),
        (changed(hidden=["10"]), "iteration: hidden is"),
        (json.dumps(result(benchmarks=[epoch_without("updates")])), "epoch: updates is null"),
        (changed(disagreement=1e-3), "numpy float32 differs from NumPy float64 by 0.001"),
    ],
)
def test_a_file_that_is_no_result_is_named_and_nothing_written(content, why, files, checkout, capsys, tmp_path):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError):
        results.read_results(str(path))
    assert __main__.main([files[0], str(path), "--output", str(checkout)]) == 5
    line = assert_one_line(capsys, why)
    assert str(path) in line
    assert_untouched(checkout)


@pytest.mark.parametrize("readme", [None, "no markers", README + README, f"{__main__.END}{__main__.BEGIN}"])
def test_a_readme_without_its_markers_is_refused(readme, tmp_path):
    path = tmp_path / "README.md"
    if readme is not None:
        path.write_text(readme)
    with pytest.raises(UsageError, match=re.escape(str(path))):
        __main__.insert(path, "text")


def test_the_page_cannot_be_written_where_a_file_is_in_the_way(files, checkout, capsys):
    import_or_skip("matplotlib")
    (checkout / "benchmarks").write_text("")
    assert __main__.main([*files, "--output", str(checkout)]) == 1
    assert_one_line(capsys, "benchmarks")
    assert (checkout / "README.md").read_bytes() == README.encode()


def test_two_files_of_one_name_would_share_their_charts(files, checkout, capsys):
    assert __main__.main([files[0], files[0], "--output", str(checkout)]) == 2
    assert_one_line(capsys, "two files are named fast")
    assert_untouched(checkout)


def assert_one_line(capsys, part):
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"benchmarks\.report: error: .*\n", err)
    assert part in err
    return err


def assert_untouched(checkout):
    assert [path.name for path in checkout.iterdir()] == ["README.md"]
    assert (checkout / "README.md").read_bytes() == README.encode()


def test_without_an_output_this_checkout_is_written():
    assert (__main__.ROOT / "noxfile.py").exists()
