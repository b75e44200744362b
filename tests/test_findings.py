import math
from dataclasses import replace

import numpy as np
import pytest
from explanations import explained, hardest, trained

from ssnn.data import Samples
from ssnn.explain.analysis import Question
from ssnn.explain.ensemble import more_data
from ssnn.explain.findings import Reference, findings
from ssnn.explain.records import Attribution, CurvePoint, ImageExplanation, Neighbour


@pytest.fixture(scope="module")
def model(few_digits):
    return trained(few_digits)


def test_the_article_s_failure_is_a_pixel_that_no_training_image_lit(article, mnist_digits):
    first, second = explained(article, mnist_digits, article.run.test.errors).images
    assert (first.index, second.index) == (1749, 2031)
    reason = first.findings[0]
    assert reason.kind == "never-lit pixel"
    assert reason.figures["pixels"] == [2 * 28 + 21]
    assert reason.figures["contribution"] == pytest.approx(first.logit, rel=1e-6)
    assert reason.figures["share"] == pytest.approx(1, abs=1e-6)
    assert reason.figures["usual_logit"] == pytest.approx(-0.1507, abs=1e-4)
    assert "row 2, column 21" in reason.text
    assert [finding.kind for finding in second.findings] == ["other class", "far outside"]
    shape = second.findings[1].figures
    train = mnist_digits.train.pixels
    assert shape["novelty_score_above_share_of_training"] == np.mean(
        article.novelty_score(train) < second.novelty_score
    )
    assert 0.99 < shape["distance_above_share_of_training"] < 1


def test_a_lit_pixel_that_the_network_leaves_out_is_the_last_finding_with_no_contribution(mnist_model, mnist_digits):
    (image,) = explained(mnist_model, mnist_digits, [1749]).images
    kinds = [finding.kind for finding in image.findings]
    assert kinds[-1] == "left out pixel"
    assert "close call" in kinds
    assert image.findings[-1].figures["contribution"] == 0


def test_an_ordinary_image_with_the_wrong_label_is_mislabelled_and_none_with_the_right_one(few_digits, model):
    pixels, labels = few_digits.train.pixels[:20], few_digits.train.labels[:20].copy()
    labels[:10] = 1 - labels[:10]
    found = explained(model, replace(few_digits, test=Samples(pixels, labels)), range(20))
    suspected = [image.findings[0].kind == "mislabelled" for image in found.images]
    assert sum(suspected[:10]) >= 8  # some of few images have neighbours of both classes
    assert not any(suspected[10:])


def test_pictures_without_a_label_are_never_mislabelled(few_digits, model):
    questions = [Question("a picture", pixels) for pixels in few_digits.test.pixels[:30]]
    found = explained(model, few_digits, questions)
    assert len(found.images) == 30
    assert "mislabelled" not in {finding.kind for image in found.images for finding in image.findings}


def test_networks_that_disagree_are_a_finding_with_their_votes(few_digits, model):
    (image,) = explained(model, few_digits, [0]).images
    everything, nine = np.ones(784, bool), np.full(9, 9.0)
    nothing_unusual = Reference((0, 1), ~everything, few_digits.train.pixels[0], everything, nine, nine, nine)
    found = findings(replace(image, votes=(3, 2)), 1.0, image.logit, nothing_unusual)
    (disagree,) = (finding for finding in found if finding.kind == "seeds disagree")
    assert "3 for a 0 and 2 for a 1" in disagree.text


def test_an_image_with_no_reason_gets_the_balance_of_its_contributions(few_digits, model):
    images = explained(model, few_digits, range(100)).images
    balanced = [image for image in images if image.findings[0].kind == "balance"]
    assert len(balanced) > 10
    for image in balanced:
        (finding,) = image.findings
        assert math.fsum(finding.figures.values()) == pytest.approx(image.logit, rel=1e-4)


def test_a_blank_picture_has_no_ink_and_no_other_finding(few_digits, model):
    (image,) = explained(model, few_digits, [Question("blank", np.zeros(784, np.uint8))]).images
    assert image.label is None
    assert [finding.kind for finding in image.findings] == ["no ink"]


ODD = 5  # the only pixel that never varies in training, and that the image below lights
PIXELS = np.where(np.arange(784) == ODD, 200, 0).astype(np.uint8)
NO_PARTS = np.zeros(784)


def image(contribution=0.0, own=1.0, other=2.0, **changes):
    """An image of a 1 that is taken for a 1, of which there is nothing to say."""
    parts = np.where(np.arange(784) == ODD, contribution, 0.0)
    values = {
        "name": "an image",
        "index": None,
        "pixels": PIXELS,
        "label": None,
        "digit": 1,
        "logit": 4.0,
        "probability": 0.98,
        "attribution": Attribution(parts, 0.0, NO_PARTS[:0], NO_PARTS[:0] > 0, 0.0),
        "novelty_score": 0.5,
        "neighbours": ((Neighbour(0, 0, other, PIXELS),), (Neighbour(1, 1, own, PIXELS),)),
        "votes": (0, 5),
        "findings": (),
    }
    return ImageExplanation(**values | changes)


def found(explained, distance=0.0, never_varies=False, logit_sizes=(4.0, 9.0)):
    """The findings of an image by kind; standardised distances and novelty scores of the training images are 0 … 999.

    What it lights may be what never varies in training.
    """
    lit = (explained.pixels > 0) & never_varies
    thousand = np.arange(1000.0)
    reference = Reference((0, 1), lit, 0 * PIXELS, ~lit | lit, thousand, thousand, np.array(logit_sizes))
    return {finding.kind: finding for finding in findings(explained, distance, 0.0, reference)}


def below(value):
    return np.nextafter(value, -math.inf)


def above(value):
    return np.nextafter(value, math.inf)


@pytest.mark.parametrize(
    ("kind", "explained", "there", "options"),
    [
        ("balance", image(), True, {}),
        ("never-lit pixel", image(2.0), True, {"never_varies": True}),  # half of the logit came through it
        ("never-lit pixel", image(below(2.0)), False, {"never_varies": True}),
        ("lit pixel", image(below(2.0)), True, {"never_varies": True}),
        ("lit pixel", image(2.0), False, {"never_varies": True}),
        ("lit pixel", image(2.0, logit=0.0), True, {"never_varies": True}),
        ("close call", image(logit=1.0), False, {}),
        ("close call", image(logit=below(1.0)), True, {}),
        ("close call", image(logit=-1.0, digit=0), False, {}),
        ("close call", image(logit=above(-1.0), digit=0), True, {}),
        ("far outside", image(novelty_score=1.0), False, {}),
        ("far outside", image(novelty_score=above(1.0)), True, {}),
        ("far outside", image(), False, {"distance": 990.0}),  # farther than 99 % of the training images
        ("far outside", image(), True, {"distance": above(990.0)}),
        ("other class", image(own=1.0, other=1.0), False, {}),
        ("other class", image(own=1.0, other=below(1.0)), True, {}),
        ("mislabelled", image(label=0, novelty_score=1.0), True, {}),
        ("mislabelled", image(label=0, novelty_score=above(1.0)), False, {}),
        ("mislabelled", image(label=0, votes=(1, 4)), False, {}),
        ("mislabelled", image(label=0, other=below(1.0)), False, {}),
        ("mislabelled", image(label=1), False, {}),
        ("seeds disagree", image(votes=(1, 4)), True, {}),
        ("seeds disagree", image(votes=(0, 1)), False, {}),
        ("seeds agree", image(label=0, votes=(0, 2)), True, {}),
        ("seeds agree", image(label=0, votes=(0, 1)), False, {}),
        ("seeds agree", image(label=1, votes=(0, 2)), False, {}),
    ],
)
def test_a_reason_begins_where_it_is_said_to(kind, explained, there, options):
    assert (kind in found(explained, **options)) == there


@pytest.mark.parametrize(
    ("explained", "there"),
    [
        (image(label=8, digit=8, own=2.0, other=1.0), False),
        (image(label=8, digit=8, own=1.0, other=2.0), True),
        (image(label=3, digit=3, own=2.0, other=1.0), True),
        (image(label=3, digit=3, own=1.0, other=2.0), False),
        (image(digit=3, own=2.0, other=1.0), True),
    ],
)
def test_class_0_may_be_the_larger_digit(explained, there):
    (zero,), (one,) = explained.neighbours
    neighbours = (replace(zero, digit=8),), (replace(one, digit=3),)
    assert ("other class" in found(replace(explained, neighbours=neighbours))) == there


NEAR = tuple(Neighbour(index, 1, float(index), PIXELS) for index in (2, 3))
FAR = tuple(Neighbour(index, 0, float(index), PIXELS) for index in (1004, 1005))


@pytest.mark.parametrize(
    ("kind", "explained", "options", "text"),
    [
        ("mislabelled", image(label=0, votes=(0, 1)), {}, ": the network takes it for a 1, each of its 1 nearest"),
        ("mislabelled", image(label=0, neighbours=(FAR, NEAR)), {}, ": all 5 networks take it for a 1, each of its 2"),
        (
            "other class",
            image(label=0, neighbours=(FAR, NEAR)),
            {},
            "It looks like a 1: the nearest training image is one (image 2, at a distance of 2.00), and the nearest 0 "
            "is farther away (image 1,004, 1004.00).",
        ),
        ("far outside", image(), {"distance": 999.0}, "its standardised distance of 999.0 is above that of 99.9 % of"),
        ("far outside", image(), {"distance": 999.5}, "distance of 999.5 is above that of all training images."),
        ("far outside", image(novelty_score=2.5), {}, "than that of 0.3 % of the training images, 2.50 times the"),
        ("far outside", image(novelty_score=2.5), {"distance": 999.5}, "within which 99 % lie, and its standardised"),
        ("seeds disagree", image(votes=(2, 3)), {}, "of 5 networks that differ in their seeds alone, 2 for a 0 and 3"),
        ("seeds agree", image(label=0), {}, "all 5 networks that differ in their seeds alone take it for a 1."),
        ("lit pixel", image(0.5), {"never_varies": True}, "Through it came +0.5"),
        ("never-lit pixel", image(3.0), {"never_varies": True}, "came through it, 75.0000 %. With it as usual the"),
    ],
)
def test_a_reason_gives_its_figures(kind, explained, options, text):
    assert text in found(explained, **options)[kind].text


@pytest.mark.parametrize(
    ("lit", "named"),
    [
        (1, "1 pixel that no training image ever lit: row 0, column 27 (grey value 9)."),
        (3, "column 27 (grey value 9), row 1, column 0 (grey value 9), row 1, column 1 (grey value 9)."),
        (4, "row 1, column 1 (grey value 9) and 1 more."),
        (9, "row 1, column 1 (grey value 9) and 6 more."),
    ],
)
def test_of_the_pixels_that_were_never_lit_three_are_named(lit, named):
    pixels = np.where((np.arange(784) >= 27) & (np.arange(784) < 27 + lit), 9, 0).astype(np.uint8)
    assert named in found(image(pixels=pixels), never_varies=True)["lit pixel"].text


@pytest.mark.parametrize(
    ("index", "logit", "sizes", "closer"),
    [
        (0, above(0.5), [0.5, 9.0], "none of 2 test images is"),  # itself, from another product
        (0, below(0.5), [0.5, 9.0], "none of 2 test images is"),
        (1, above(-0.5), [below(0.5), 0.5, 0.5, 0.25, 9.0], "2 of 5 test images are"),
        (2, 0.5, [0.25, 9.0, 0.5], "1 of 3 test images is"),
        (None, 0.5, [below(0.5), 0.5, above(0.5)], "1 of 3 test images is"),
    ],
)
def test_a_close_call_counts_the_images_that_are_closer_and_never_itself(index, logit, sizes, closer):
    explained = image(index=index, logit=logit, digit=int(logit > 0))
    assert f", and {closer} closer to 0." in found(explained, logit_sizes=sizes)["close call"].text


def test_the_closest_calls_come_in_their_order(few_digits):
    model = trained(few_digits, iterations=2)
    images = explained(model, few_digits, hardest(model, few_digits, 5)).images
    ranks = [
        finding.figures["closer"] for image in images for finding in image.findings if finding.kind == "close call"
    ]
    assert ranks == [0, 1, 2, 3, 4]


def curve(before, after):
    """A learning curve with these numbers of wrong images of 1,024."""
    return [CurvePoint(n, tuple(wrong / 1024 for wrong in counts)) for n, counts in ((100, before), (400, after))]


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((60, 60), (40, 40), "would help little."),  # a gain of 20, which is twice √(60 + 40)
        ((60.5, 60.5), (40, 40), "would still help."),
        ((40, 40), (60, 60), "would help little."),
        ((40, 40), (60.5, 60.5), "something else is in the way."),
        ((30, 90), (39, 39), "would help little."),  # a gain of 21, but the two seeds differ by 60
        ((10, 10), (10, 10), "would help little."),
        ((10, 10), (9.5, 9.5), "too few are wrong to tell whether more images would help."),
    ],
)
def test_more_data_helps_beyond_twice_chance(before, after, verdict):
    assert more_data(curve(before, after), 1024).endswith(verdict)
