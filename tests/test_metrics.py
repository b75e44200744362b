import numpy as np
import pytest
from support import import_or_skip

from ssnn.errors import ModelError, UsageError
from ssnn.model.metrics import Evaluation, evaluate

LOGITS = np.array([-2.0, 0.5, 3.0, 0.0, -1.0])
LABELS = np.array([0, 0, 1, 1, 1], np.uint8)


def test_errors_and_confusion_are_those_that_one_counts():
    found = evaluate(LOGITS, LABELS)
    assert found.errors == (1, 3, 4)
    assert found.confusion == ((1, 1), (2, 1))
    assert found.error_rate == 3 / 5


def test_a_tie_is_class_0():
    """The article says 1 where A2 > 0.5, and a logit of 0 is a probability of exactly 0.5."""
    assert evaluate(np.zeros(2), np.array([0, 1], np.uint8)).errors == (1,)


def test_log_loss_and_brier_score_follow_their_definitions():
    p = 1 / (1 + np.exp(-LOGITS))
    found = evaluate(LOGITS, LABELS)
    assert found.log_loss == pytest.approx(-np.mean(np.where(LABELS == 1, np.log(p), np.log(1 - p))), rel=1e-14)
    assert found.brier_score == pytest.approx(np.mean((p - LABELS) ** 2), rel=1e-14)


def test_log_loss_and_brier_score_are_scikit_learn_s(random):
    metrics = import_or_skip("sklearn.metrics")
    logits, labels = random.normal(size=1000), random.integers(0, 2, 1000).astype(np.uint8)
    p = 1 / (1 + np.exp(-logits))
    found = evaluate(logits, labels)
    assert found.log_loss == pytest.approx(metrics.log_loss(labels, p))
    assert found.brier_score == pytest.approx(metrics.brier_score_loss(labels, p))
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, logits > 0))


@pytest.mark.parametrize(("errors", "samples"), [(0, 10), (1, 2115), (500, 2115), (7, 7)])
def test_the_interval_solves_wilson_s_equation(errors, samples):
    """Its ends are the rates p from which the observed one is 1.96 of their standard errors away."""
    found = Evaluation(samples, tuple(range(errors)), ((0, 0), (0, 0)), 0.0, 0.0)
    for p in found.error_rate_interval:
        z = abs(found.error_rate - p) / np.sqrt(p * (1 - p) / samples) if 0 < p < 1 else 1.959963984540054
        assert z == pytest.approx(1.959963984540054, rel=1e-9)
    assert found.error_rate_interval[0] <= found.error_rate <= found.error_rate_interval[1]


def test_what_cannot_be_evaluated_is_reported():
    with pytest.raises(UsageError, match="there is no image to evaluate"):
        evaluate(np.empty(0), np.empty(0, np.uint8))
    with pytest.raises(UsageError, match="labels 4 and 9: class 0 and class 1 are needed"):
        evaluate(LOGITS, np.array([4, 9, 9, 4, 4], np.uint8))
    with pytest.raises(UsageError, match="labels -1 and 1: "):
        evaluate(LOGITS, np.array([-1, 1, 1, -1, -1]))
    with pytest.raises(UsageError, match=r"logits \(5,\) of 4 images: one for each is needed"):
        evaluate(LOGITS, LABELS[:4])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 1])
def test_nothing_that_is_not_finite_is_returned(wrong, label):
    """Also where an infinite logit is on the right side, and costs nothing."""
    with pytest.raises(ModelError, match="the log loss is not finite"):
        evaluate(np.append(LOGITS, wrong), np.append(LABELS, np.uint8(label)))


def test_the_largest_logits_are_evaluated():
    found = evaluate(np.array([1e308, -1e308, 1e308, -1e308]), np.array([1, 0, 0, 1], np.uint8))
    assert found.log_loss == pytest.approx(5e307)
    assert found.brier_score == 0.5


def test_a_repr_fits_a_screen_and_names_the_first_wrong_images():
    lines = repr(evaluate(LOGITS, LABELS)).splitlines()
    assert lines[0] == "Evaluation of 5 images: 3 wrong, confusion ((1, 1), (2, 1))"
    assert lines[1] == "error rate 60.0000 %, with 95 % confidence 23.0724 % … 88.2379 %"
    assert lines[2].startswith(f"log loss {evaluate(LOGITS, LABELS).log_loss:.6g} nats, Brier score 0.")
    assert lines[3:] == ["wrong: image 1, 3, 4"]
    many = repr(Evaluation(10**4, tuple(range(10**4)), ((0, 10**4), (10**4, 0)), 1e-300, 1e-300))
    assert many.endswith("image 0, 1, 2 and 9,997 more")
    assert max(map(len, many.splitlines())) <= 80
    assert len(repr(Evaluation(9, (), ((4, 0), (0, 5)), 0.0, 0.0)).splitlines()) == 3
