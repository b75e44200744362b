import math
from dataclasses import replace

import numpy as np
import pytest
from explanations import explained, trained

from ssnn.data import Samples
from ssnn.explain.analysis import Question
from ssnn.explain.findings import Reference, findings


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
