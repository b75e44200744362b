"""The report in a real browser: what it draws, computes and looks like."""

import base64
import math
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from explanations import example, example_page, explained, trained
from support import import_or_skip, skip

from ssnn.data import pictures
from ssnn.explain import page

PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome", "chrome"),
    "firefox": ("firefox", "firefox-esr"),
}
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

# The opacity of each pixel of the canvas, in base64: as a list of numbers it would take seconds to hand over.
OPACITIES = """() => {
  const canvas = document.getElementById("try-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return btoa(Array.from({ length: data.length / 4 }, (_, i) => String.fromCharCode(data[4 * i + 3])).join(""));
}"""

# The logit of each image, from the pixels of all in base64.
LOGITS = """(images) => {
  const pixels = Uint8Array.from(atob(images), (character) => character.charCodeAt(0));
  const image = (_, i) => pixels.subarray(784 * i, 784 * (i + 1));
  return Array.from({ length: pixels.length / 784 }, image).map((row) => ssnn.network.explain(row).logit);
}"""

# The worst contrast of any text with what is behind it, as the WCAG defines it, and where it is.
CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => numbers(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return numbers(colour)[3] === 0 && element.parentElement ? behind(element.parentElement) : colour;
  };
  const worst = [99, ""];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (!text || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [low, high] = [luminance(colour), luminance(behind(element))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < worst[0]) worst.splice(0, 2, ratio, text);
  }
  return worst;
}"""


def program(name):
    """The program of a browser: what the variable of its name in capitals says, or the first that is installed."""
    return os.environ.get(name.upper()) or next(filter(None, map(shutil.which, PROGRAMS[name])), None)


def launch_chromium(playwright):
    found = program("chromium")
    if found is None:
        names = ", ".join(PROGRAMS["chromium"])
        skip("chromium", f"there is no Chromium: neither the variable CHROMIUM nor a program {names}")
    return playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])  # for containers' root


def launch_firefox(playwright):
    """Launch Playwright's own Firefox, or else an installed one, which speaks WebDriver BiDi alone."""
    reason = ""
    for options in ({}, {"executable_path": program("firefox"), "channel": "moz-firefox"}):
        browser = None
        try:
            browser = playwright.firefox.launch(**options)
            browser.new_context().close()  # not every Playwright knows the commands of every Firefox
            return browser
        except Exception as error:  # Playwright's, which is imported only where it is installed
            reason = str(error).partition("\n")[0]
            if browser is not None:
                browser.close()
    return skip("firefox", f"there is no Firefox that Playwright can drive: {reason}")


@pytest.fixture(scope="module", params=[launch_chromium, launch_firefox], ids=PROGRAMS)
def browser(request):
    import_or_skip("jinja2")
    import_or_skip("matplotlib")
    playwright = import_or_skip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = request.param(started)
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """A function that opens the report of a model; any error or request of the page fails the test."""
    complaints, contexts = [], []

    def show(model, dataset, html=None, **options):
        path = tmp_path / "report.html"
        path.write_text(html or example_page(model, dataset), encoding="utf-8")
        contexts.append(browser.new_context(**options))
        opened = contexts[-1].new_page()
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on(
            "request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url)
        )
        opened.goto(path.as_uri())
        return opened

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def model(few_digits):
    return trained(few_digits, iterations=200)


def draw(opened, stroke):
    """Clear the canvas and draw through these points with the mouse; both their axes go from 0 to 1."""
    opened.click("#try-clear")
    draw_over(opened, stroke)


def draw_over(opened, stroke):
    """Draw on whatever the canvas shows."""
    canvas = opened.locator("#try-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    opened.mouse.move(*points[0])
    opened.mouse.down()
    for point in points[1:]:
        opened.mouse.move(*point)
    opened.mouse.up()


def circle(x=0.5, y=0.5, width=0.2, height=0.3):
    return [(x + width * math.sin(i * math.tau / 16), y - height * math.cos(i * math.tau / 16)) for i in range(17)]


def line(*ends):
    (x, y), (to_x, to_y) = ends
    return [(x + (to_x - x) * t, y + (to_y - y) * t) for t in np.linspace(0, 1, 6).tolist()]


def assert_drawings_are_recognised(opened):
    for digit, stroke in (("0", circle()), ("1", line((0.55, 0.2), (0.45, 0.8))), ("0", circle(0.3, 0.4, 0.1, 0.16))):
        draw(opened, stroke)
        assert opened.text_content("#try-digit") == digit
        assert f"takes it for {digit}, with " in opened.text_content("[role=status]")


def test_a_drawn_0_and_1_are_recognised(show, model, few_digits):
    assert_drawings_are_recognised(show(model, few_digits))


def test_a_drawn_0_and_1_are_recognised_by_the_default_network(show, mnist_model, mnist_digits):
    opened = show(mnist_model, mnist_digits)
    assert_drawings_are_recognised(opened)
    assert_same_arithmetic(opened, mnist_model, mnist_digits)


@pytest.mark.parametrize("stroke", [circle(), circle(0.3, 0.3, 0.26, 0.11), line((0.1, 0.2), (0.7, 0.9))])
def test_a_drawing_is_normalized_as_python_normalizes_it(stroke, show, model, few_digits):
    opened = show(model, few_digits)
    draw(opened, stroke)
    seen = np.array(opened.evaluate("Array.from(ssnn.image())"))
    drawn = np.frombuffer(base64.b64decode(opened.evaluate(OPACITIES)), np.uint8)
    side = math.isqrt(len(drawn))
    expected = pictures.normalized(drawn.reshape(side, side))
    assert np.max(np.abs(seen - expected)) <= 2  # of 255 grey values: Pillow computes in float32


def assert_same_arithmetic(opened, model, dataset):
    """Logits, attributions and novelty scores are Python's."""
    rows = dataset.test.pixels[:200]
    logits = opened.evaluate(LOGITS, base64.b64encode(rows.tobytes()).decode())
    assert len(logits) == len(rows)
    assert np.max(np.abs(np.array(logits) - model.logits(rows))) < 1e-4
    for image in explained(model, dataset, range(5)).images:
        expected = image.attribution
        found = opened.evaluate(
            "(image) => { const explained = ssnn.network.explain(image);"
            " return { ...explained, pixels: [...explained.pixels], novelty: ssnn.network.noveltyScore(image) }; }",
            image.pixels.tolist(),
        )
        np.testing.assert_allclose(found["pixels"], expected.pixels, atol=1e-4)
        np.testing.assert_allclose(found["neurons"], expected.neurons, atol=1e-4)
        assert found["biases"] == pytest.approx(expected.biases, abs=1e-4)
        assert found["outputBias"] == pytest.approx(expected.output_bias)
        assert found["on"][-1:] == ([expected.on.tolist()] if len(model.network) > 1 else [])
        assert found["novelty"] == pytest.approx(model.novelty_score(image.pixels[None])[0], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("hidden", "dtype"), [((10,), "float32"), ((), "float64"), ((20, 6), "float64"), ((4, 3, 5), "float32")]
)
def test_the_network_in_the_page_computes_what_python_computes(hidden, dtype, show, few_digits):
    model = trained(few_digits, dtype, hidden=hidden, learning_rate=0.1)
    assert_same_arithmetic(show(model, few_digits), model, few_digits)


def test_images_can_be_tried_by_keyboard_alone(show, model, few_digits):
    opened = show(model, few_digits)
    opened.click("#try-clear")
    opened.focus("#try-choice")
    opened.keyboard.press("ArrowDown")
    image = example(model, few_digits).images[0]
    assert opened.text_content("#try-digit") == str(image.digit)
    assert opened.evaluate("Array.from(ssnn.image())") == image.pixels.tolist()
    opened.keyboard.press("Tab")
    opened.keyboard.press("Enter")
    assert opened.is_hidden("#try-result")
    assert opened.is_visible("#try-hint")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_both_schemes_and_on_a_narrow_phone(scheme, show, model, few_digits):
    opened = show(model, few_digits, color_scheme=scheme, viewport={"width": 320, "height": 640}, has_touch=True)
    opened.select_option("#try-choice", index=1)
    opened.evaluate("document.querySelectorAll('details').forEach((details) => (details.open = true))")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 320
    worst, text = opened.evaluate(CONTRAST)
    assert worst >= 4.5, text


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_first_screen_shows_a_wrong_image_and_its_contributions(viewport, show, model, few_digits):
    opened = show(model, few_digits, viewport=viewport)
    for shown in (".verdict", ".hero .ink", ".hero .diverging"):
        assert is_within(opened.locator(shown).bounding_box(), viewport), shown


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_without_wrong_images_the_first_screen_shows_an_answer_to_an_example(viewport, show, model, few_digits):
    html = page.render(replace(example(model, few_digits), images=()), model, few_digits)
    opened = show(model, few_digits, html, viewport=viewport)
    example_image = few_digits.test.pixels[few_digits.test.labels == 1][:1]
    assert opened.evaluate("Array.from(ssnn.image())") == example_image[0].tolist()
    assert opened.text_content("#try-digit") == str(model.predict(example_image)[0])
    assert is_within(opened.locator("#try-prediction").bounding_box(), viewport)
    assert opened.locator("#try-canvas").bounding_box()["y"] < viewport["height"]


def is_within(box, viewport):
    return box["y"] >= 0 and box["y"] + box["height"] <= viewport["height"] and box["height"] > 0


def test_a_stroke_replaces_the_image_that_was_chosen(show, model, few_digits):
    opened = show(model, few_digits)
    opened.select_option("#try-choice", index=1)
    draw_over(opened, line((0.1, 0.1), (0.2, 0.1)))
    assert opened.input_value("#try-choice") == ""
    drawn = np.frombuffer(base64.b64decode(opened.evaluate(OPACITIES)), np.uint8)
    side = math.isqrt(len(drawn))
    assert drawn.any()
    assert not drawn.reshape(side, side)[side // 4 :].any()


def test_a_card_fits_a_screen_and_a_half(show, article, mnist_digits):
    explanation = explained(article, mnist_digits, [1749, 2031])
    opened = show(article, mnist_digits, page.render(explanation, article, mnist_digits), viewport=WIDE)
    heights = [card.bounding_box()["height"] for card in opened.locator("article.card").all()]
    assert len(heights) == 2
    assert max(heights) < 1000
