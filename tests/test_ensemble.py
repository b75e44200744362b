from dataclasses import replace

import numpy as np
import pytest
from explanations import explained, hardest, trained

from ssnn.agreement import disagreement, tolerance
from ssnn.backends import open_backend
from ssnn.data import Samples
from ssnn.explain.analysis import explain
from ssnn.explain.ensemble import more_data, retrain_with_seeds
from ssnn.explain.records import CurvePoint
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels
from ssnn.training.trainer import fit
from ssnn.tree import tree_map


def test_a_stopped_model_is_compared_with_networks_of_as_many_iterations(few_digits):
    stopped = fit(few_digits, settings=Settings(iterations=400), stopping=lambda costs: len(costs) >= 20)
    done = trained(few_digits, iterations=20)
    hard = hardest(done, few_digits, 3)
    one, other = (explained(model, few_digits, hard, train_more=True) for model in (stopped, done))
    assert one.curve == other.curve
    assert [image.votes for image in one.images] == [image.votes for image in other.images]


def test_a_model_without_costs_is_compared_with_networks_of_the_iterations_in_its_settings(few_digits):
    model = trained(few_digits, iterations=20)
    hard = hardest(model, few_digits, 3)
    one, other = (explained(each, few_digits, hard, train_more=True) for each in (model, replace(model, costs=())))
    assert one.curve == other.curve
    assert [image.votes for image in one.images] == [image.votes for image in other.images]


def check_they_are_what_fit_gives(dataset, model, settings, updates):
    """The networks that are retrained for a model on these images, and those of `ssnn.fit` with their seeds."""
    backend = open_backend("numpy", dtype="float64")
    ensemble = retrain_with_seeds(dataset, model, backend, lambda *_: None)
    for i in range(4):
        alone = fit(dataset, backend, replace(settings, seed=settings.seed + i + 1))
        one = tree_map(lambda parameters, i=i: parameters[i], ensemble.networks)
        assert len(alone.costs) == updates
        assert disagreement(one, alone.network) <= tolerance("float64", updates)


@pytest.mark.parametrize("order", ["random", "file", None])
@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
def test_retrained_networks_are_those_of_a_fit_with_their_seeds(few_digits, optimizer, order):
    settings = Settings(optimizer=optimizer, iterations=3, order=order, batch_size=order and 30)  # the last has 20
    updates = 3 if order is None else 3 * 7
    check_they_are_what_fit_gives(few_digits, trained(few_digits, **vars(settings)), settings, updates)


@pytest.mark.parametrize("keeps_costs", [True, False])
def test_on_fewer_images_networks_are_updated_as_often_as_the_model(few_digits, keeps_costs):
    """Or else the learning curve would show what is due to shorter training as if it were due to fewer images."""
    model = trained(few_digits, optimizer="adam", batch_size=25, iterations=2)
    part = slice(0, None, 4)
    few = replace(few_digits, train=Samples(few_digits.train.pixels[part], few_digits.train.labels[part]))
    known = replace(model, standardization=fit_pixels(few.train.pixels, "drop"), costs=model.costs * keeps_costs)
    check_they_are_what_fit_gives(few, known, replace(model.settings, iterations=8), updates=16)


@pytest.mark.parametrize("quick", [False, True])
def test_progress_names_each_step_and_ends_at_1_and_is_not_reported_if_nothing_is_trained(few_digits, quick):
    reports = []
    report = lambda step, share: reports.append((step, share))  # noqa: E731
    explain(trained(few_digits), few_digits, open_backend("numpy"), [], report, train_more=not quick)
    steps = list(dict.fromkeys(step for step, _ in reports))
    assert steps == ([] if quick else ["seeds", "50 samples, 1 of 2", "50 samples, 2 of 2"])
    for step in steps:
        shares = [share for reported, share in reports if reported == step]
        assert shares == sorted(shares)
        assert shares[-1] == 1


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((52, 48, 55, 45), (20, 21, 19, 20, 20), "more images of this kind would still help."),
        ((20, 21, 19, 20), (52, 48, 55, 45, 50), "more images made it worse, so something else is in the way."),
        ((30, 31, 29, 30), (25, 26, 24, 25, 25), "so more images of this kind would help little."),
        ((2, 2, 2, 2), (1, 1, 1, 1, 1), "too few are wrong to tell whether more images would help."),
        ((0, 0, 0, 0), (0, 0, 0, 0, 0), "too few are wrong to tell whether more images would help."),
    ],
)
def test_more_data_is_recommended_only_beyond_chance(before, after, verdict):
    points = [CurvePoint(n, tuple(k / 2000 for k in wrong)) for n, wrong in ((100, before), (400, after))]
    assert more_data(points, 2000).endswith(verdict)
    assert more_data(points[:1], 2000).startswith("There are too few training images")


@pytest.mark.parametrize(
    ("settings", "what"),
    [({}, "random start"), ({"batch_size": 50}, "seed"), ({"batch_size": 50, "order": "file"}, "random start")],
)
def test_all_networks_wrong_together_are_a_finding(few_digits, settings, what):
    model = trained(few_digits, **settings)
    turned = replace(few_digits, test=replace(few_digits.test, labels=1 - few_digits.test.labels))
    confident = int(np.argmax(np.abs(model.logits(few_digits.test.pixels))))
    (image,) = explained(model, turned, [confident], train_more=True).images
    assert image.votes in ((5, 0), (0, 5))
    (agree,) = [finding for finding in image.findings if finding.kind == "seeds agree"]
    assert agree.text.startswith(f"The {what} does not matter: all 5 networks")
