import base64
import hashlib
import io
import json
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from explanations import example, explained, trained
from PIL import Image
from support import import_or_skip, run_python

from ssnn.__main__ import main
from ssnn.errors import SsnnError
from ssnn.explain import charts, formatting, page, page_data, provenance, terminal, thumbnails
from ssnn.explain.comparison import Change
from ssnn.explain.cost_curve import cost_curve
from ssnn.explain.records import Attribution, Finding
from ssnn.settings import Settings


class Read(HTMLParser):
    """The elements of a page with their attributes, and its text without that of style and script."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.scripts, self.open = [], "", [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open = tag

    def handle_endtag(self, tag):
        self.open = ""

    def handle_data(self, data):
        if self.open == "script":
            self.scripts.append(data)
        elif self.open != "style":
            self.text += data

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]

    def values(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def plain(text):
    """With one space where there is white space of any kind."""
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module", autouse=True)
def libraries():
    import_or_skip("jinja2")
    import_or_skip("matplotlib")


@pytest.fixture(scope="module")
def model(few_digits):
    return trained(few_digits)


@pytest.fixture(scope="module")
def explanation(model, few_digits):
    return example(model, few_digits, images=2)


@pytest.fixture(scope="module")
def drawn(explanation, model):
    return page._charts(explanation, model)


@pytest.fixture
def charts_once(drawn, monkeypatch):
    """Render with charts that are drawn already: they take most of the time."""
    monkeypatch.setattr(page, "_charts", lambda *_: drawn)


@pytest.fixture(scope="module")
def html(explanation, model, few_digits):
    return page.render(explanation, model, few_digits)


def test_the_page_asks_for_nothing_outside_itself(html):
    read = Read(html)
    assert all(source.startswith("data:image/png;base64,") for source in read.values("src"))
    assert [link["href"] for link in read.all("link")] == ["data:,"]
    assert "://" not in html
    assert not re.search(r"url\((?!#)", html)
    assert len(html.encode()) < 1e6


def test_the_policy_lets_no_other_script_run(html):
    read = Read(html)
    (policy,) = [meta["content"] for meta in read.all("meta") if "http-equiv" in meta]
    data, script = read.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy
    assert json.loads(data)["digits"] == [0, 1]


def test_the_structure_can_be_followed_by_ear_and_keyboard(html):
    read = Read(html)
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    named = re.findall(r'(?:href="|url\()#([^")]+)', html)
    assert {*named, *read.values("aria-labelledby"), *read.values("for")} <= set(ids)
    assert all(image["alt"] for image in read.all("img"))
    assert all(len(element["aria-label"]) > 20 for _, element in read.elements if element.get("role") == "img")
    assert read.all("html") == [{"lang": "en"}]
    assert all(len(read.all(landmark)) == 1 for landmark in ("header", "nav", "main"))


def test_figures_and_findings_stand_in_the_text(html, explanation, model, few_digits):
    text = plain(Read(html).text)
    wrong = int(np.sum(explanation.test_logits.margins <= 0))
    assert f"{wrong or 'None'} of 100 test images wrong." in text
    for image in explanation.images:
        assert plain(page.heading(image)) in text
        assert f"{formatting.signed(image.attribution.pixels.sum())} from the pixels" in text
        assert "5 nearest training images are of the <other> class" in text  # so escaped in HTML
    assert "1 of 10 neurons dead, which means on for no training image; 1 a duplicate of another" in text
    assert explanation.more_data in text
    assert f"{model.settings.seed}" in text


def test_the_same_explanation_gives_the_same_page(html, explanation, model, few_digits):
    assert page.render(explanation, model, few_digits) == html


def test_what_there_is_none_of_is_said(few_digits):
    model = trained(few_digits, hidden=())
    shown = example(model, few_digits, images=0)
    test = shown.test_logits
    perfect = replace(test, logits=(np.abs(test.logits) + 1) * (2.0 * test.labels - 1))
    html = page.render(replace(shown, test_logits=perfect, curve=(), calibration=()), model, few_digits)
    text = plain(Read(html).text)
    for said in (
        "None of 100 test images wrong.",
        "No test image is wrong.",
        "There is no hidden layer",
        "No learning curve",
        "There is no test image to measure it on.",
    ):
        assert said in text


@pytest.mark.usefixtures("charts_once")
def test_some_of_the_wrong_images_are_said_to_be_some(explanation, model, few_digits):
    test = explanation.test_logits
    all_wrong = replace(test, logits=1.0 - 2.0 * test.labels)
    wrong = replace(explanation.images[0], label=1 - explanation.images[0].digit)
    html = page.render(replace(explanation, test_logits=all_wrong, images=(wrong,)), model, few_digits)
    assert "1 of the 100 wrong test images are shown." in html


@pytest.mark.usefixtures("charts_once")
def test_a_network_too_large_for_a_page_stays_out_of_it(explanation, model, few_digits, monkeypatch):
    monkeypatch.setattr(page_data, "MAX_PARAMETER_BYTES", 1000)
    html = page.render(explanation, model, few_digits)
    assert "too large to be embedded in a page" in html
    assert "<script" not in html


@pytest.mark.usefixtures("charts_once")
def test_no_name_of_a_picture_does_anything_to_a_page_or_a_terminal(explanation, model, few_digits):
    name = "b\udcff\x1b[2J\n\u202e</script><b>.png"
    strange = replace(explanation.images[0], name=name, index=None)
    html = page.render(replace(explanation, images=(strange,)), model, few_digits)
    html.encode()
    assert strange.name == "b��[2J��</script><b>.png"
    assert f"{strange.name}: a " in Read(html).text  # as text, not as an element
    assert f"{strange.name}: a " in terminal.image(strange, (0, 1))
    changed = terminal.changes([Change(strange, strange)], ["one\x1b", "other\udcff"], (0, 1))
    assert "from one� to other�\n" in changed
    assert "as other� sees it" in changed
    assert "one� and other� take" in terminal.changes([], ["one\x1b", "other\udcff"], (0, 1))


def test_a_model_without_costs_has_a_page_without_their_chart(explanation, model, few_digits):
    html = page.render(explanation, replace(model, costs=()), few_digits)
    assert "No costs were kept with this model." in Read(html).text
    assert "before each iteration" not in html


@pytest.mark.parametrize(("batch_size", "most"), [(None, 500), (20, 50)])
def test_a_cost_curve_has_no_more_points_than_can_be_seen(model, few_digits, batch_size, most):
    settings = Settings(batch_size=batch_size, iterations=40_000)
    costs = np.random.default_rng(0).lognormal(-4, 2, 40_000)
    long, short = (replace(model, settings=settings, costs=tuple(costs[:n])) for n in (40_000, most))
    curve = cost_curve(long)
    size = 40_000 // most
    assert curve.size == size
    np.testing.assert_allclose(curve.mean, [costs[i : i + size].mean() for i in range(0, 40_000, size)])
    assert (curve.low.min(), curve.high.max()) == (costs.min(), costs.max())
    np.testing.assert_array_equal(curve.update, np.arange(most) * size + (size + 1) / 2)
    np.testing.assert_array_equal(cost_curve(short).mean, costs[:most])
    assert len(charts.cost(curve)) < 3 * len(charts.cost(cost_curve(short))) < 200_000


def test_a_page_says_what_an_update_is(explanation, model, few_digits):
    minibatches = trained(few_digits, optimizer="adam", batch_size=20, iterations=13)
    read = Read(page.render(explanation, minibatches, few_digits))
    text = plain(read.text)
    assert "mini-batch by mini-batch, each before its update. The line is the mean of 3 updates at a time" in text
    for said in (
        "Adam (β₁ 0.9, β₂ 0.999, ε 1e-08)",
        "mini-batches of 20 images, in random order",
        "Passes over the training images13",
        "Updates130",
        "s for 130 updates",
    ):
        assert said in text
    assert {"update", "passes over the training images"} <= set(re.findall(r"[a-z ]+", read.text))
    (drawn,) = [each for each in read.values("aria-label") if each.startswith("The cost")]
    assert drawn.startswith("The cost, in the mean of 3 updates at a time: ")
    assert drawn.endswith("; 130 updates in all.")


def test_a_page_says_how_far_a_run_came_that_was_stopped(model):
    stopped = replace(model, settings=Settings(optimizer="momentum", batch_size=20, order="file", iterations=9))
    shown = provenance.settings(replace(stopped, costs=model.costs[:15]))
    assert shown["Optimizer"] == "gradient descent with momentum 0.9"
    assert shown["Batch"] == "mini-batches of 20 images, in the order of the file"
    assert (shown["Passes over the training images"], shown["Updates"]) == ("1.50 of 9", "15")
    assert provenance.settings(model)["Iterations"] == "30"


@pytest.mark.parametrize(
    ("costs", "line"),
    [
        ((0.5, 0.05, 0.005), "0.5 █▅▁ 0.005"),
        ((0.5, 0.0, 0.005), "0.5 █▁▁ 0.005"),
        ((0.5,), "0.5 █ 0.5"),
        ((0.0, 0.0), "0 ██ 0"),
    ],
)
def test_a_terminal_draws_the_cost(explanation, model, costs, line):
    lines = terminal.network(explanation, replace(model, costs=costs)).splitlines()
    title = lines.index("cost by iterations, on a logarithmic scale:")
    assert lines[title + 1].strip() == line


def test_a_terminal_draws_updates_in_groups(explanation, few_digits):
    minibatches = trained(few_digits, optimizer="adam", batch_size=20, iterations=13)
    text = terminal.network(explanation, minibatches)
    bars = re.search(r"cost by updates, each bar the mean of 3, on a logarithmic scale:\n  \S+ (\S+) \S+\n", text)
    assert len(bars[1]) == 44
    assert "cost by" not in terminal.network(explanation, replace(minibatches, costs=()))


def test_an_mplbackend_that_matplotlib_does_not_know_is_refused():
    program = "from ssnn.explain import page\ntry: page.require()\nexcept ValueError as error: print(error)"
    told = run_python(program, MPLBACKEND="nonsense")
    assert told.startswith(
        "the page needs matplotlib, which refuses MPLBACKEND: Key backend: 'nonsense' is not a valid"
    )
    assert "\n" not in told


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_with_what_brings_it(library, explanation, model, few_digits, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SsnnError, match=rf"{library}, which is not installed; .*pip install 'ssnn\[report\]'"):
        page.render(explanation, model, few_digits)


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
@pytest.mark.parametrize("command", [["train"], ["explain", "--model", "missing"]])
def test_a_command_misses_a_library_before_it_reads_anything(command, library, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, library, None)
    arguments = [*command, "--data-dir", str(tmp_path / "missing"), "--html", str(tmp_path / "page.html")]
    assert main(arguments) == 1
    assert f"the page needs {library}, which is not installed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_jinja2_and_matplotlib_are_imported_only_to_render():
    program = "import sys, ssnn.explain.page; print({'jinja2', 'matplotlib'} & set(sys.modules))"
    assert run_python(program) == "set()"


def test_the_page_is_the_same_under_python_oo(tmp_path, html, drawn, explanation, model, few_digits):
    """Which strips docstrings and assertions."""
    (tmp_path / "given").write_bytes(pickle.dumps((drawn, explanation, model, few_digits)))
    program = (
        "import pathlib, pickle, sys; from ssnn.explain import page; assert False; "
        "drawn, *given = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()); page._charts = lambda *_: drawn; "
        "sys.stdout.buffer.write(page.render(*given).encode())"
    )
    command = [sys.executable, "-OO", "-c", program, tmp_path / "given"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.decode() == html


def test_the_network_in_the_page_is_the_trained_one(model):
    carried = page_data.network(model)
    for layer, expected in zip(carried["layers"], model.network, strict=True):
        for name in ("W", "b"):
            values = np.frombuffer(base64.b64decode(layer[name]["base64"]), "<f4").reshape(layer[name]["shape"])
            assert np.array_equal(values, getattr(expected, name))
    assert carried["features"] == model.standardization.features.tolist()


def pixels_of(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


def test_diverging_pictures_are_clear_at_0_and_symmetric():
    values = np.zeros(784)
    values[:4] = -2, -1, 1, 0.5
    first = pixels_of(thumbnails.diverging(values, 1.0))[0]
    assert first[0].tolist() == first[1].tolist() == [*thumbnails.BLUE, 255]
    assert first[2].tolist() == [*thumbnails.ORANGE, 255]
    assert first[3].tolist()[:3] == list(thumbnails.ORANGE)
    assert first[3, 3] == pytest.approx(127.5, abs=1.5)
    assert first[4, 3] == 0


def test_ink_is_as_opaque_as_it_is_bright():
    grey = np.arange(784).astype(np.uint8)
    assert np.array_equal(pixels_of(thumbnails.ink(grey))[..., 3].ravel(), grey)


def test_the_outline_goes_once_around_the_ink():
    pixels = np.zeros(784, np.uint8)
    pixels[[0, 29, 30]] = 255
    edges = re.findall(r"M\d+ \d+[hv]1", thumbnails.outline(pixels))
    assert sorted(edges[:5]) == sorted(["M0 0h1", "M0 1h1", "M1 1h1", "M2 1h1", "M1 2h1"])
    assert len(edges) == len(set(edges)) == 4 + 6


def test_of_many_neurons_the_strongest_are_shown_and_the_others_added_up():
    contributions = np.linspace(-1, 2, 30)
    rows = page.bars(Attribution(np.zeros(784), 0.0, contributions, contributions != 0, 0.25))
    assert len(rows) == page.MAX_BARS + 2
    assert rows[0].name == "neuron 29"
    assert sum(row.value for row in rows) == pytest.approx(contributions.sum() + 0.25)
    assert max(row.width for row in rows) == 100


@pytest.mark.usefixtures("charts_once")
def test_the_never_lit_pixel_of_1749_is_ringed_and_its_colour_saturates(article, mnist_digits):
    explanation = explained(article, mnist_digits, [1749])
    image = explanation.images[0]
    column, row = 21, 2
    assert mnist_digits.train.pixels[:, 28 * row + column].max() == 0
    assert page.rings(image) == [page.Ring(row, column, image.attribution.pixels[28 * row + column])]
    read = Read(page.render(explanation, article, mnist_digits))
    circles = {(circle["cx"], circle["cy"]) for circle in read.all("circle")}
    assert circles == {("21.5", "2.5")}
    assert "Ringed: a pixel that no training image ever lit." in plain(read.text)
    assert re.search(r"saturates at ±0\.24: the ringed pixel’s \+271,401,355 lies beyond", plain(read.text))


def test_the_strongest_of_many_unusual_pixels_are_ringed_and_one_that_is_left_out_has_no_value(explanation):
    image = explanation.images[0]
    strongest = np.argsort(-np.abs(image.attribution.pixels))[:5].tolist()
    lit = Finding("lit pixel", "", {"pixels": sorted(strongest)})
    found = page.rings(replace(image, findings=(lit,)))
    assert [28 * ring.row + ring.column for ring in found] == strongest[: page.MAX_RINGS]
    left_out = Finding("left out pixel", "", {"pixels": [30]})
    assert page.rings(replace(image, findings=(left_out,))) == [page.Ring(1, 2, None)]


@pytest.mark.parametrize("count", [page.MIN_SHEET - 1, page.MIN_SHEET, 7])
@pytest.mark.usefixtures("charts_once")
def test_a_contact_sheet_leads_to_the_cards_of_many_wrong_images(count, model, few_digits):
    explanation = explained(model, few_digits, range(count + 1))
    right, *others = explanation.images
    wrong = [replace(image, label=1 - image.digit) for image in others]
    html = page.render(replace(explanation, images=(right, *wrong)), model, few_digits)
    sheet = re.search('<ul class="sheet".*?</ul>', html, re.DOTALL)
    if count < page.MIN_SHEET:
        assert sheet is None
        return
    cards = {f"#image-{number}": page.heading(image) for number, image in enumerate(wrong, start=2)}
    read = Read(sheet[0])
    links, names = read.values("href"), read.values("alt")
    assert [cards[link] for link in links] == names
    margins = {page.heading(image): -abs(image.logit) for image in wrong}
    assert names == sorted(margins, key=margins.__getitem__)


def test_charts_have_the_colours_of_the_page_and_no_others(explanation, model):
    svg = charts.margins(explanation.train_logits.margins, explanation.test_logits.margins)
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) <= {"none", *charts.PAGE.values()}
    assert not re.search('#[0-9a-f]{6}[;"]', svg)


def test_one_image_far_out_does_not_squeeze_the_others():
    margins = np.linspace(-1, 20, 500)
    low, high = charts.margin_range(margins, np.array([2.7e8]))
    assert -1.1 < low < 0
    assert 20 < high < 100


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (formatting.signed(-3.456), "−3.46"),
        (formatting.signed(0.001), "0.00"),
        (formatting.signed(271401342.0), "+271,401,342"),
        (formatting.magnitude(0.0), "0.00"),
        (formatting.magnitude(0.0059), "0.0059"),
        (formatting.magnitude(0.243), "0.24"),
        (formatting.magnitude(150.0), "150.00"),
        (formatting.magnitude(2715.4), "2,715"),
        (formatting.rate(0.0), "0.0 %"),
        (formatting.rate(1 / 2115), "0.047 %"),
        (formatting.rate(0.5), "50.0 %"),
        (formatting.confidence(0.0), "50.0 %"),
        (formatting.confidence(-8.0), "99.97 %"),
        (formatting.confidence(40.0), "more than 99.9999 %"),
        (formatting.counted(1, "image"), "1 image"),
        (formatting.counted(2115, "image"), "2,115 images"),
        (formatting.a(8), "an 8"),
    ],
)
def test_numbers_are_said_as_people_say_them(said, expected):
    assert plain(said) == expected
