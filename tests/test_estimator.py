import os
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from support import BACKENDS, REQUIRED, import_or_skip, open_or_skip

if "sklearn" not in REQUIRED:
    pytest.importorskip("sklearn")

import joblib
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks

from ssnn import ShallowNetworkClassifier, backends
from ssnn.agreement import disagreement, tolerance
from ssnn.errors import TrainingError
from ssnn.network import Layer
from ssnn.settings import Settings
from ssnn.training.trainer import fit

CHECKED = [
    ShallowNetworkClassifier(max_iter=50),
    ShallowNetworkClassifier((), max_iter=200, tol=1e-3, dtype="float64"),
    ShallowNetworkClassifier((6, 4), max_iter=200, learning_rate=1.0),
]
NAMESPACES = {"strict": "array_api_strict", "torch": "torch"}
OTHER_LIBRARIES = [backend for backend in BACKENDS if getattr(backend, "values", ("",))[0] in NAMESPACES]
DISPATCHING = os.environ.get("SCIPY_ARRAY_API") == "1"


@pytest.fixture
def two_classes():
    """300 samples that no network of this size tells apart without an error."""
    return make_classification(300, 6, n_informative=4, flip_y=0.2, random_state=0)


def network(estimator):
    """What it learnt, as `ssnn.fit` gives it."""
    parameters = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    return tuple(Layer(W.T, b[:, None]) for W, b in parameters)


@parametrize_with_checks(CHECKED)
def test_scikit_learn_s_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.skipif(not DISPATCHING, reason="SCIPY_ARRAY_API is not set: runs in the process that the next test starts")
@pytest.mark.parametrize("name", OTHER_LIBRARIES)
def test_array_api_results_follow_the_input(two_classes, name):
    xp = import_or_skip(NAMESPACES[name])
    X, y = two_classes
    reference = ShallowNetworkClassifier(max_iter=20, random_state=0).fit(X, y)
    words = np.array(["no", "yes"])
    with config_context(array_api_dispatch=True):
        numbers = clone(reference).fit(xp.asarray(X), xp.asarray(y))
        strings = clone(reference).fit(xp.asarray(X), words[y])
        for method in ("predict", "predict_proba", "decision_function"):
            result = getattr(numbers, method)(xp.asarray(X))
            assert type(result) is type(xp.asarray(X))
            np.testing.assert_array_equal(np.asarray(result), getattr(reference, method)(X))
        np.testing.assert_array_equal(strings.predict(xp.asarray(X)), words[reference.predict(X)])
        with pytest.raises(ValueError, match=r"predict\(\) must use the same namespace .* not ndarray on cpu"):
            numbers.predict(X)
    assert all(type(W) is type(xp.asarray(X)) for W in (*numbers.coefs_, *numbers.intercepts_, numbers.classes_))


@pytest.fixture(scope="module")
def dispatched(tmp_path_factory):
    """The tests of this file that need array API dispatch, run where it is allowed: why each was skipped, if it was."""
    folder = tmp_path_factory.mktemp("dispatched")
    report = folder / "report.xml"
    arguments = ["-p", "no:cacheprovider", f"--basetemp={folder / 'inner'}", "-k", "array_api", f"--junitxml={report}"]
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "SSNN_REQUIRE": ""}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, __file__], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    cases = ElementTree.parse(report).iter("testcase")
    return {case.get("name"): " ".join(skipped.get("message") for skipped in case.iter("skipped")) for case in cases}


@pytest.mark.parametrize("name", OTHER_LIBRARIES)
def test_all_checks_with_dispatch_pass_that_this_machine_can_run(dispatched, name):
    """Skipped is only what needs a GPU or a library that is not there; without dispatch, nothing else is skipped."""
    open_or_skip(name)
    assert dispatched[f"test_array_api_results_follow_the_input[{name}]"] == ""
    ran = [
        test for test, skipped in dispatched.items() if f"array_namespace={NAMESPACES[name]}" in test and not skipped
    ]
    assert len([test for test in ran if "check_array_api_input" in test]) >= 2 * len(CHECKED)  # float32, float64
    here = ("cuda", "MPS", "XPU", "cupy is not installed", "dpnp is not installed")
    missing = [f"{library} is not installed" for library in NAMESPACES.values() if library != NAMESPACES[name]]
    others = [skipped for skipped in dispatched.values() if not any(reason in skipped for reason in (*here, *missing))]
    assert set(others) == {""}


def test_pixels_give_what_the_command_line_gives_to_the_bit(few_digits):
    model = fit(few_digits, settings=Settings(iterations=40))
    estimator = ShallowNetworkClassifier(max_iter=40, random_state=561)
    estimator.fit(few_digits.train.pixels, few_digits.train.labels)
    assert disagreement(network(estimator), model.network) == 0
    assert estimator.loss_curve_ == list(model.costs)
    assert estimator.n_iter_ == 40
    pixels = few_digits.test.pixels
    numpy = backends.open_backend("numpy")
    np.testing.assert_array_equal(estimator.decision_function(pixels), model.logits(pixels, numpy))
    np.testing.assert_array_equal(estimator.predict(pixels), model.predict(pixels))
    np.testing.assert_allclose(estimator.predict_proba(pixels), model.predict_proba(pixels, numpy), rtol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_scales_and_backends_agree_with_it(few_digits, name, dtype):
    open_or_skip(name)
    reference = fit(few_digits, backends.open_backend("numpy", dtype="float64"), Settings(iterations=40))
    estimator = ShallowNetworkClassifier(max_iter=40, random_state=561, backend=name, dtype=dtype)
    estimator.fit(few_digits.train.pixels / 255, few_digits.train.labels)
    assert disagreement(network(estimator), reference.network) < tolerance(dtype, 40)
    found = estimator.predict_proba(few_digits.test.pixels / 255)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, reference.predict_proba(few_digits.test.pixels), atol=1e-4)


def test_an_offset_costs_float32_nothing(two_classes):
    X, y = two_classes
    plain, moved = (
        ShallowNetworkClassifier(max_iter=50, random_state=0).fit(X + offset, y).decision_function(X + offset)
        for offset in (0, 1e6)
    )
    np.testing.assert_allclose(moved, plain, atol=1e-4)


@pytest.mark.parametrize("largest", [1e300, 8e307, 1.7e308])
def test_features_as_large_as_float64_can_hold_are_learnt(two_classes, largest):
    """As the same features do in another unit: a power of two changes no digit."""
    X, y = two_classes
    X = X / abs(X).max() * largest
    X[:, 2] = np.where(y, largest, -largest)  # which alone tells all
    large, small = (
        ShallowNetworkClassifier(max_iter=50, random_state=0).fit(X * unit, y) for unit in (1, np.ldexp(1.0, -900))
    )
    assert len(large.standardization_.features) == 6
    assert large.score(X, y) == 1
    np.testing.assert_array_equal(large.decision_function(X), small.decision_function(np.ldexp(X, -900)))


@pytest.mark.parametrize("outlier", [1e300, -1e300])
def test_a_sample_too_far_away_for_the_dtype_is_refused(two_classes, outlier):
    X, y = two_classes
    far = X[:3].copy()
    far[1, 4] = outlier
    estimator = ShallowNetworkClassifier((), max_iter=20, random_state=0).fit(X, y)
    for method in (estimator.decision_function, estimator.predict, estimator.predict_proba):
        with pytest.raises(
            ValueError, match="the logit of sample 1 is not finite in float32: its features are too far"
        ):
            method(far)
    in_float64 = clone(estimator).set_params(dtype="float64").fit(X, y)
    assert np.isfinite(in_float64.decision_function(far)).all()


def test_numbers_beyond_float64_are_refused(two_classes):
    X, y = two_classes
    beyond = X.astype(np.longdouble)
    beyond[0, 0] = np.ldexp(np.longdouble(1), 2000)
    with pytest.raises(ValueError, match=r"not finite in float64|[Ii]nfinity"):  # where a long double is no longer
        ShallowNetworkClassifier(max_iter=2).fit(beyond, y)


def test_a_mask_is_not_dropped_without_a_word(two_classes):
    X, y = two_classes
    estimator = ShallowNetworkClassifier(max_iter=2, random_state=0).fit(X, y)
    masked = np.ma.masked_greater(X, 1)
    for refused in (
        lambda: estimator.predict(masked),
        lambda: estimator.fit(masked, y),
        lambda: estimator.fit(X, np.ma.masked_equal(y, 1)),
    ):
        with pytest.raises(ValueError, match=r"[Xy] are a masked array: [Xy]\.filled"):
            refused()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda array: array[::-1].copy()[::-1], id="reversed"),
        pytest.param(np.asfortranarray, id="fortran"),
        pytest.param(lambda array: array.astype(array.dtype.newbyteorder()), id="swapped"),
        pytest.param(lambda array: import_or_skip("jax.numpy").asarray(array), id="jax", marks=pytest.mark.jax),
        pytest.param(lambda array: import_or_skip("torch").tensor(array), id="torch", marks=pytest.mark.torch),
    ],
)
def test_the_form_of_an_array_changes_no_bit(two_classes, form, dtype, name):
    open_or_skip(name)
    X, y = two_classes
    X = np.rint(32 * np.clip(X, -4, 3.9) + 128).astype(dtype)  # which JAX holds exactly, in float32
    plain, other = (
        ShallowNetworkClassifier(max_iter=5, random_state=0, backend=name, dtype="float64").fit(of(X), of(y))
        for of in (np.ascontiguousarray, form)
    )
    np.testing.assert_array_equal(other.decision_function(form(X)), plain.decision_function(X))


def test_logistic_regression_finds_scikit_learn_s_optimum(two_classes):
    X, y = two_classes
    ours = ShallowNetworkClassifier((), max_iter=5000, dtype="float64", random_state=0).fit(X, y)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_tol_stops_where_ten_losses_in_a_row_bring_nothing(two_classes, tol):
    X, y = two_classes
    stopped = ShallowNetworkClassifier((4,), max_iter=1000, tol=tol, random_state=0).fit(X, y)
    whole = clone(stopped).set_params(tol=None).fit(X, y)
    curve = np.array(whole.loss_curve_)
    flat = np.r_[False, curve[1:] > np.minimum.accumulate(curve)[:-1] - tol]
    ten = np.lib.stride_tricks.sliding_window_view(flat, 10).all(axis=1)
    assert stopped.n_iter_ == len(stopped.loss_curve_) == np.flatnonzero(ten)[0] + 10 < 1000
    assert stopped.loss_curve_ == whole.loss_curve_[: stopped.n_iter_]
    same = clone(whole).set_params(max_iter=stopped.n_iter_).fit(X, y)
    assert disagreement(network(stopped), network(same)) == 0


def test_a_tol_that_is_not_reached_is_told(two_classes):
    X, y = two_classes
    with pytest.warns(ConvergenceWarning, match="improved by more than tol=1e-06 .* of all 30 iterations") as told:
        ShallowNetworkClassifier(max_iter=30, tol=1e-6, random_state=0).fit(X, y)
    assert told[0].filename == __file__


def test_it_works_in_pipelines_searches_and_processes(two_classes, tmp_path):
    X, y = two_classes
    X, y = X.astype(np.float32), np.array(["no", "yes"])[y]
    pipeline = make_pipeline(PolynomialFeatures(), ShallowNetworkClassifier(max_iter=30, random_state=1))
    scores = cross_val_score(pipeline, X, y, cv=3, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(pipeline, X, y, cv=3))
    assert scores.mean() > 0.6
    grid = {"shallownetworkclassifier__hidden_layer_sizes": [(), 5, (5, 3)]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="roc_auc", error_score="raise").fit(X, y)
    best = search.best_estimator_
    assert list(best.classes_) == ["no", "yes"]
    assert set(best.predict(X)) == {"no", "yes"}
    np.testing.assert_array_equal(best.predict(X) == "yes", best.predict_proba(X)[:, 1] > 0.5)
    joblib.dump(best, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(loaded.decision_function(X), best.decision_function(X))
    np.testing.assert_array_equal(clone(best).fit(X, y).decision_function(X), best.decision_function(X))


def test_columns_are_known_by_name(two_classes):
    pandas = import_or_skip("pandas")
    frame = pandas.DataFrame(two_classes[0], columns=list("abcdef"))
    estimator = ShallowNetworkClassifier(max_iter=2).fit(frame, two_classes[1])
    assert list(estimator.feature_names_in_) == list("abcdef")
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[list("fedcba")])


def test_random_states_seed(two_classes):
    def learnt(random_state):
        return ShallowNetworkClassifier(max_iter=2, random_state=random_state).fit(*two_classes).loss_curve_

    assert learnt(7) == learnt(np.int64(7)) != learnt(8)
    assert learnt(np.random.RandomState(7)) == learnt(np.random.RandomState(7)) != learnt(7)
    assert learnt(None) != learnt(None)


@pytest.mark.parametrize("value", [3.5, 200, np.uint8(200)])
def test_constant_features_are_left_out(two_classes, value):
    X, y = two_classes
    X = (X * 20 + 128).astype(type(value))
    wide = np.insert(X, 2, value, axis=1)
    estimator = ShallowNetworkClassifier(max_iter=2, random_state=0).fit(wide, y)
    assert estimator.n_features_in_ == 7
    assert [W.shape for W in estimator.coefs_] == [(6, 10), (10, 1)]
    found = estimator.decision_function(wide)
    wide[:, 2] = 0
    np.testing.assert_array_equal(estimator.decision_function(wide), found)
    with pytest.raises(ValueError, match=r"no (pixel|feature) varies over the 300"):
        estimator.fit(np.full_like(X, value), y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "nimpy"}, "unknown backend 'nimpy'; choose one of numpy"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"hidden_layer_sizes": (10, 0)}, "each needs at least 1 neuron"),
        ({"hidden_layer_sizes": "10"}, "hidden_layer_sizes '10': a whole number or a sequence"),
        ({"hidden_layer_sizes": None}, "hidden_layer_sizes None: a whole number or a sequence"),
        ({"tol": np.nan}, "tol nan: a number from 0 on"),
        ({"tol": "a"}, "tol 'a': a number from 0 on"),
        ({"max_iter": 0}, "0 iterations: at least 1"),
        ({"learning_rate": -1}, "a positive, finite number"),
        ({"random_state": 2**32}, "seed 4294967296"),
    ],
)
def test_what_makes_no_sense_is_told_by_fit(two_classes, change, message):
    estimator = ShallowNetworkClassifier(**change)
    with pytest.raises(ValueError, match=message):
        estimator.fit(*two_classes)


def test_a_run_that_diverges_leaves_nothing_behind(two_classes):
    estimator = ShallowNetworkClassifier(learning_rate=1e30)
    with pytest.raises(TrainingError, match="try a learning rate below 1e\\+30"):
        estimator.fit(*two_classes)
    with pytest.raises(NotFittedError):
        estimator.predict(two_classes[0])
