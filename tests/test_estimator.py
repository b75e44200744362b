import math
import os
import pickle
import subprocess
import sys
import tracemalloc
from xml.etree import ElementTree

import numpy as np
import pytest
from support import BACKENDS, REQUIRED, import_or_skip, open_or_skip

if "sklearn" not in REQUIRED:
    pytest.importorskip("sklearn")

import joblib
import scipy.sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from ssnn import ShallowNetworkClassifier, backends
from ssnn.agreement import disagreement, tolerance
from ssnn.errors import TrainingError
from ssnn.estimator import inputs as inputs_module
from ssnn.initialization import initial_network
from ssnn.network import Layer, gradients, update
from ssnn.settings import Settings
from ssnn.training import loop
from ssnn.training.trainer import fit

CHECKED = [
    ShallowNetworkClassifier(max_iter=50),
    ShallowNetworkClassifier((), max_iter=200, tol=1e-3, dtype="float64"),
    ShallowNetworkClassifier((6, 4), max_iter=200, learning_rate=1.0),
    ShallowNetworkClassifier(max_iter=50, solver="adam"),
    ShallowNetworkClassifier(max_iter=20, solver="adam", batch_size=10),
]
MINIBATCHES = {"solver": "adam", "batch_size": 64}
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
    return tuple(Layer(np.asarray(W).T, np.asarray(b)[:, None]) for W, b in parameters)


def expected_failures(estimator):
    """The only checks that may fail: samples that are repeated fall into other mini-batches than weighted ones."""
    if estimator.batch_size is None:
        return {}
    names = [f"check_sample_weight_equivalence_on_{form}_data" for form in ("dense", "sparse")]
    return dict.fromkeys(names, "mini-batches")


@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
def test_scikit_learn_s_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.skipif(not DISPATCHING, reason="SCIPY_ARRAY_API is not set: runs in the process that the next test starts")
@pytest.mark.parametrize("name", OTHER_LIBRARIES)
@pytest.mark.parametrize("options", [{}, MINIBATCHES], ids=["full", "mini"])
def test_array_api_results_follow_the_input(two_classes, options, name):
    xp = import_or_skip(NAMESPACES[name])
    X, y = two_classes
    reference = ShallowNetworkClassifier(max_iter=20, random_state=0, **options).fit(X, y)
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
        numbers.partial_fit(xp.asarray(X), xp.asarray(y))
    assert disagreement(network(numbers), network(reference.partial_fit(X, y))) == 0
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
    for batch in ("full", "mini"):
        assert dispatched[f"test_array_api_results_follow_the_input[{batch}-{name}]"] == ""
    ran = [
        test for test, skipped in dispatched.items() if f"array_namespace={NAMESPACES[name]}" in test and not skipped
    ]
    assert len([test for test in ran if "check_array_api_input" in test]) >= 2 * len(CHECKED)  # float32, float64
    here = ("cuda", "MPS", "XPU", "cupy is not installed", "dpnp is not installed")
    missing = [f"{library} is not installed" for library in NAMESPACES.values() if library != NAMESPACES[name]]
    others = [skipped for skipped in dispatched.values() if not any(reason in skipped for reason in (*here, *missing))]
    assert set(others) == {""}


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, Settings(iterations=40)),
        ({"solver": "momentum"}, Settings(iterations=40, optimizer="momentum")),
        ({"batch_size": 30}, Settings(iterations=40, batch_size=30)),
        (
            {"solver": "momentum", "momentum": 0.5, "learning_rate": 0.1, "batch_size": 50, "shuffle": False},
            Settings(iterations=40, optimizer="momentum", momentum=0.5, learning_rate=0.1, batch_size=50, order="file"),
        ),
        (
            {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4, "batch_size": 64},
            Settings(iterations=40, optimizer="adam", beta_1=0.8, beta_2=0.99, epsilon=1e-4, batch_size=64),
        ),
    ],
)
def test_pixels_give_what_the_command_line_gives_to_the_bit(few_digits, options, settings):
    model = fit(few_digits, settings=settings)
    estimator = ShallowNetworkClassifier(max_iter=40, random_state=561, **options)
    estimator.fit(few_digits.train.pixels, few_digits.train.labels)
    assert disagreement(network(estimator), model.network) == 0
    size = estimator.batch_size or 200
    sizes = [min(size, 200 - start) for start in range(0, 200, size)]
    means = [np.dot(costs, sizes) / 200 for costs in np.reshape(model.costs, (40, -1))]
    np.testing.assert_allclose(estimator.loss_curve_, means, rtol=1e-14)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 40
    pixels = few_digits.test.pixels
    numpy = backends.open_backend("numpy")
    np.testing.assert_array_equal(estimator.decision_function(pixels), model.logits(pixels, numpy))
    np.testing.assert_array_equal(estimator.predict(pixels), model.predict(pixels))
    np.testing.assert_allclose(estimator.predict_proba(pixels), model.predict_proba(pixels, numpy), rtol=1e-6)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [None, 64])
def test_other_scales_and_backends_agree_with_it(few_digits, batch_size, name, dtype):
    open_or_skip(name)
    settings = Settings(iterations=40, batch_size=batch_size)
    reference = fit(few_digits, backends.open_backend("numpy", dtype="float64"), settings)
    estimator = ShallowNetworkClassifier(
        max_iter=40, random_state=561, batch_size=batch_size, backend=name, dtype=dtype
    )
    estimator.fit(few_digits.train.pixels / 255, few_digits.train.labels)
    assert disagreement(network(estimator), reference.network) < tolerance(dtype, len(reference.costs))
    found = estimator.predict_proba(few_digits.test.pixels / 255)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, reference.predict_proba(few_digits.test.pixels), atol=1e-4)


def test_an_offset_costs_float32_nothing(two_classes):
    X, y = two_classes
    plain, moved = (
        ShallowNetworkClassifier(max_iter=50, random_state=0, dtype="float32")
        .fit(X + offset, y)
        .decision_function(X + offset)
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
    estimator = ShallowNetworkClassifier((), max_iter=20, random_state=0, dtype="float32").fit(X, y)
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


@pytest.mark.parametrize(("tol", "options"), [(1e-2, {}), (1e-4, {}), (1e-3, MINIBATCHES)])
def test_tol_stops_where_ten_losses_in_a_row_bring_nothing(two_classes, tol, options):
    X, y = two_classes
    stopped = ShallowNetworkClassifier((4,), max_iter=1000, tol=tol, random_state=0, **options).fit(X, y)
    whole = clone(stopped).set_params(tol=None).fit(X, y)
    curve = np.array(whole.loss_curve_)
    flat = np.r_[False, curve[1:] > np.minimum.accumulate(curve)[:-1] - tol]
    ten = np.lib.stride_tricks.sliding_window_view(flat, 10).all(axis=1)
    assert stopped.n_iter_ == len(stopped.loss_curve_) == np.flatnonzero(ten)[0] + 10 < 1000
    assert stopped.loss_curve_ == whole.loss_curve_[: stopped.n_iter_]
    same = clone(whole).set_params(max_iter=stopped.n_iter_).fit(X, y)
    assert disagreement(network(stopped), network(same)) == 0


def test_an_iteration_that_takes_longer_than_a_call_has_one_loss(two_classes, monkeypatch):
    X, y = two_classes
    estimator = ShallowNetworkClassifier((4,), max_iter=500, tol=0.03, random_state=0, **MINIBATCHES)
    at_once = clone(estimator).fit(X, y)
    monkeypatch.setattr(loop, "FIRST_WORK", 0)
    monkeypatch.setattr(loop, "RUN_SECONDS", 0)  # so that each call does one update
    in_parts = clone(estimator).fit(X, y)
    assert in_parts.loss_curve_ == at_once.loss_curve_
    assert in_parts.n_iter_ == at_once.n_iter_ < 500


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


@pytest.mark.parametrize("form", ["dense", "csr", "coo"])
def test_a_weight_counts_as_so_many_samples(two_classes, form):
    X, y = two_classes
    sample_weight = np.random.default_rng(0).integers(0, 4, len(y))
    estimator = ShallowNetworkClassifier((4,), max_iter=100, dtype="float64", random_state=0)
    repeated = clone(estimator).fit(X.repeat(sample_weight, axis=0), y.repeat(sample_weight))
    weighted = clone(estimator).fit(X if form == "dense" else in_form(X, form), y, sample_weight=2 * sample_weight)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-12)
    assert disagreement(network(weighted), network(repeated)) < 1e-11
    only = clone(estimator).fit(
        X[sample_weight > 0], y[sample_weight > 0], sample_weight=sample_weight[sample_weight > 0]
    )
    assert disagreement(network(only), network(clone(estimator).fit(X, y, sample_weight))) == 0


@pytest.mark.parametrize(
    ("solver", "hidden", "batch_size"),
    [
        ("gd", (4,), None),
        ("gd", (6, 4), None),
        ("momentum", (4,), 64),
        ("adam", (4,), 64),
        ("adam", (6, 4), None),
        ("adam", (6, 4), 300),
    ],
)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_it_does_what_scikit_learn_s_own_network_does(two_classes, solver, hidden, batch_size, is_weighted):
    """Which begins here with the same parameters, on features that are standardised with the same weights.

    Its epsilon stands beside another root, so both are too small to count.
    """
    X, y = two_classes
    sample_weight = np.random.default_rng(0).exponential(size=len(y)) if is_weighted else None
    X = StandardScaler().fit_transform(X, sample_weight=sample_weight)
    options = {"shuffle": False, "momentum": 0.0 if solver == "gd" else 0.8, "beta_1": 0.8, "epsilon": 1e-100}
    ours = ShallowNetworkClassifier(
        hidden, solver=solver, batch_size=batch_size, max_iter=60, dtype="float64", random_state=0, **options
    ).fit(X, y, sample_weight)
    rate = {"gd": 0.5, "momentum": 0.05, "adam": 0.01}[solver]
    options |= {"alpha": 0, "batch_size": batch_size or len(y), "learning_rate_init": rate}
    theirs = MLPClassifier(
        hidden, solver="adam" if solver == "adam" else "sgd", nesterovs_momentum=False, **options
    ).partial_fit(X, y, classes=[0, 1])
    start = initial_network((6, *hidden, 1), 0)
    theirs.coefs_, theirs.intercepts_ = [layer.W.T.copy() for layer in start], [layer.b[:, 0].copy() for layer in start]
    del theirs._optimizer  # whose state is that of other parameters
    for _ in range(60):
        theirs.partial_fit(X, y, sample_weight=sample_weight)
    for our, their in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(our, their, rtol=0, atol=1e-11 * abs(their).max())
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_[1:], rtol=1e-10)


def test_options_are_named_and_set_as_in_scikit_learn_s_own_network():
    ours, theirs = ShallowNetworkClassifier().get_params(), MLPClassifier().get_params()
    for name in ("shuffle", "momentum", "beta_1", "beta_2", "epsilon", "warm_start"):
        assert ours[name] == theirs[name]
    assert {"solver", "batch_size"} <= ours.keys() & theirs.keys()


@pytest.mark.parametrize(
    ("change", "weights"), [({}, [0, 1]), ({"class_weight": {0: 0}}, [1, 1]), ({"class_weight": "balanced"}, [1, 0])]
)
def test_a_class_without_weight_is_no_class_to_learn(two_classes, change, weights):
    X, y = two_classes
    with pytest.raises(ValueError, match="y holds one class only, of the samples that have a weight above 0"):
        ShallowNetworkClassifier(max_iter=2, **change).fit(X, y, sample_weight=np.array(weights)[y])


def test_a_wide_sparse_matrix_is_dense_a_few_rows_at_a_time(two_classes):
    X, _ = two_classes
    wide = scipy.sparse.csr_array((X.ravel(), (np.repeat(np.arange(300), 6), np.tile(np.arange(6), 300))), (300, 10**5))
    estimator = ShallowNetworkClassifier((), max_iter=2, random_state=0).fit(wide[:4], [0, 1, 0, 1])
    tracemalloc.start()
    estimator.predict(wide)
    assert tracemalloc.get_traced_memory()[1] < 0.9 * 300 * 10**5 * 8
    tracemalloc.stop()


@pytest.mark.parametrize("later", [np.float64, ">f4"])
def test_a_run_that_goes_on_keeps_its_dtype_whatever_that_of_x(two_classes, later):
    X, y = two_classes
    estimator = ShallowNetworkClassifier(max_iter=2, random_state=0).fit(X.astype("=f4"), y)
    estimator.set_params(warm_start=True).fit(X.astype(later), y)
    assert {W.dtype.name for W in estimator.coefs_} == {"float32"}
    in_other_order = ShallowNetworkClassifier(max_iter=2, random_state=0).fit(X.astype(">f4"), y)
    assert in_other_order.dtype_ == "float32"


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize("options", [{}, MINIBATCHES])
def test_samples_that_are_masked_by_weights_of_0_change_no_bit(two_classes, options, dtype):
    X, y = two_classes
    X, kept = (20 * X + 128).astype(dtype), np.arange(300) < 200
    estimator = ShallowNetworkClassifier((4,), max_iter=20, random_state=0, **options)
    masked, without = clone(estimator).fit(X, y, sample_weight=3 * kept), clone(estimator).fit(X[kept], y[kept])
    assert disagreement(network(masked), network(without)) == 0
    assert masked.loss_curve_ == without.loss_curve_


@pytest.mark.parametrize(
    ("class_weight", "of_0", "of_1"), [({"no": 3}, 3, 1), ({"no": 0.5, "yes": 2}, 1, 4), ("balanced", None, None)]
)
def test_a_class_weighs_what_its_samples_weigh(two_classes, class_weight, of_0, of_1):
    X, y = two_classes
    X, y = X[60:], np.r_[np.zeros(60, int), y[120:]]  # more of class 0
    if class_weight == "balanced":
        of_0, of_1 = compute_class_weight("balanced", classes=np.array([0, 1]), y=y)
    estimator = ShallowNetworkClassifier((4,), max_iter=50, dtype="float64", random_state=0)
    weighted = clone(estimator).fit(X, y, sample_weight=np.where(y == 0, of_0, of_1))
    classes = clone(estimator).set_params(class_weight=class_weight).fit(X, np.array(["no", "yes"])[y])
    assert disagreement(network(classes), network(weighted)) < 1e-12


def test_balanced_classes_weigh_the_same_with_sample_weights_too(two_classes):
    """As scikit-learn counts them: a sample of weight 2 twice."""
    X, y = two_classes
    sample_weight = np.random.default_rng(0).integers(0, 4, len(y))
    rows, labels = X.repeat(sample_weight, axis=0), y.repeat(sample_weight)
    balanced = ShallowNetworkClassifier(
        (4,), max_iter=50, dtype="float64", random_state=0, class_weight="balanced"
    ).fit(X, y, sample_weight)
    each = compute_sample_weight("balanced", labels)
    explicit = clone(balanced).set_params(class_weight=None).fit(rows, labels, each)
    assert disagreement(network(balanced), network(explicit)) < 1e-11


@pytest.mark.parametrize("unit", [5e-324, 1e-200, 1e200, 1e307])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1e-10, 1: 2e-10}, {0: 1e10, 1: 2e10}])
def test_weights_count_in_proportion_only_whatever_their_unit(two_classes, class_weight, unit):
    X, y = two_classes
    weights = np.where(np.arange(len(y)) % 2, 1.0, 4.0)  # which the smallest number that there is can be multiplied by
    plain = ShallowNetworkClassifier((4,), max_iter=20, dtype="float64", random_state=0, class_weight=class_weight).fit(
        X, y, weights
    )
    assert disagreement(network(clone(plain).fit(X, y, unit * weights)), network(plain)) < 1e-13


def test_a_warm_start_goes_on_to_the_bit(two_classes):
    X, y = two_classes
    whole = ShallowNetworkClassifier((4,), max_iter=500, random_state=0).fit(X, y)
    parts = clone(whole).set_params(max_iter=250, warm_start=True).fit(X, y).fit(X, y)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 500
    assert disagreement(network(parts), network(whole)) == 0
    again = clone(whole).set_params(max_iter=30).fit(X, y).fit(X, y)
    assert again.n_iter_ == 30
    for change, message in (({"hidden_layer_sizes": 5}, "goes on with the"), ({}, "it has learnt")):
        with pytest.raises(ValueError, match=message):
            parts.set_params(**change).fit(X, y if change else y + 1)
        parts.set_params(hidden_layer_sizes=(4,))
    assert disagreement(network(parts), network(whole)) == 0


def test_partial_fit_is_one_more_run_with_the_first_one_s_standardisation(two_classes):
    X, y = two_classes
    estimator = ShallowNetworkClassifier((4,), max_iter=20, dtype="float64", random_state=0)
    estimator.partial_fit(X[:200], y[:200]).partial_fit(X[200:], y[200:], sample_weight=np.arange(1, 101))
    begun = clone(estimator).fit(X[:200], y[:200])
    reached, standardization = network(begun), begun.standardization_
    inputs = ((X[200:] - standardization.mean) / standardization.std).T
    weight = np.arange(1, 101)[None, :] / 5050
    for _ in range(20):
        gradient, _ = gradients(reached, inputs, y[None, 200:], weight)
        reached = update(reached, gradient, 0.5)
    assert disagreement(network(estimator), reached) < 1e-12
    assert estimator.n_iter_ == 40


@pytest.mark.parametrize("name", BACKENDS)
def test_the_optimizer_goes_on_with_each_backend(two_classes, name):
    open_or_skip(name)
    X, y = two_classes
    whole = ShallowNetworkClassifier(max_iter=20, dtype="float64", random_state=0, **MINIBATCHES)
    parts = clone(whole).set_params(max_iter=10, backend=name).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).partial_fit(X, y)
    assert disagreement(network(parts), network(whole.fit(X, y))) < tolerance("float64", 100)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("solver", ["gd", "momentum", "adam"])
def test_parts_with_a_pickle_between_them_are_one_run_to_the_bit(two_classes, solver, shuffle):
    """Also in a random order: a later call does not draw those of the first again."""
    X, y = two_classes
    whole = ShallowNetworkClassifier(max_iter=20, solver=solver, batch_size=64, shuffle=shuffle, random_state=0)
    parts = clone(whole).set_params(max_iter=10).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).partial_fit(X, y)
    assert disagreement(network(parts), network(whole.fit(X, y))) == 0
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 20


@pytest.mark.parametrize("begins", ["warm start", "solver"])
def test_a_new_optimizer_begins_after_a_warm_start_and_with_another_solver(two_classes, begins):
    """Adam's first step has the size of the learning rate for each parameter, and no later one has."""
    X, y = two_classes
    options = {"hidden_layer_sizes": (), "dtype": "float64", "random_state": 0, "epsilon": 0, "learning_rate": 0.25}
    estimator = ShallowNetworkClassifier(solver="adam", max_iter=20, **options).fit(X, y)

    def is_first_step(method):
        before = estimator.coefs_[0]
        steps = abs(method(X, y).coefs_[0] - before)
        return np.allclose(steps, 0.25, rtol=1e-12)

    estimator.set_params(max_iter=1)
    assert not is_first_step(estimator.partial_fit)
    if begins == "solver":
        before = estimator.coefs_[0], estimator.intercepts_[0]
        estimator.set_params(solver="gd").partial_fit(X, y)
        inputs = ((X - estimator.standardization_.mean) / estimator.standardization_.std).T
        reached = (Layer(before[0].T, before[1][:, None]),)
        gradient, _ = gradients(reached, inputs, y[None, :], np.full((1, 300), 1 / 300))
        assert disagreement(network(estimator), update(reached, gradient, 0.25)) < 1e-13
        assert is_first_step(estimator.set_params(solver="adam").partial_fit)
    else:
        assert is_first_step(estimator.set_params(warm_start=True).fit)
    assert not is_first_step(estimator.partial_fit)


def test_a_batch_above_the_samples_is_the_full_one_and_says_so(two_classes):
    X, y = two_classes
    full = ShallowNetworkClassifier(max_iter=5, random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match="batch_size 301 is larger than the number of samples, 300") as told:
        clipped = clone(full).set_params(batch_size=301).fit(X, y)
    assert told[0].filename == __file__
    equal = clone(full).set_params(batch_size=300).fit(X, y)
    assert disagreement(network(clipped), network(full)) == disagreement(network(equal), network(full)) == 0
    assert clipped.loss_curve_ == equal.loss_curve_ == full.loss_curve_
    with pytest.warns(UserWarning, match="number of samples, 300"):
        clipped.partial_fit(X, y)
    with pytest.warns(UserWarning, match="number of samples, 200"):  # those that weigh anything
        clone(full).set_params(batch_size=250).fit(X, y, np.arange(300) < 200)


def test_a_search_varies_solver_and_batch_size(two_classes):
    X, y = two_classes
    grid = {"solver": ["gd", "momentum", "adam"], "batch_size": [None, np.int64(50)], "momentum": [0.5, 0.9]}
    estimator = ShallowNetworkClassifier((4,), max_iter=10, random_state=0)
    search = GridSearchCV(estimator, grid, cv=3, scoring="neg_log_loss", error_score="raise").fit(X, y)
    scores = dict(zip(map(str, search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True))
    assert len(scores) == 12
    for solver in grid["solver"]:
        for size in grid["batch_size"]:
            of_05, of_09 = (
                scores[str({"batch_size": size, "momentum": value, "solver": solver})] for value in grid["momentum"]
            )
            assert (of_05 == of_09) == (solver != "momentum")  # ignored, as in MLPClassifier
    again = clone(estimator).set_params(**search.best_params_).fit(X, y)
    assert disagreement(network(again), network(search.best_estimator_)) == 0


def test_the_first_part_may_lack_a_class_that_is_named(two_classes):
    X, y = two_classes
    words = np.array(["no", "yes"])[y]
    estimator = ShallowNetworkClassifier(max_iter=5, random_state=0)
    with pytest.raises(ValueError, match="two are needed"):
        estimator.partial_fit(X[y == 0], words[y == 0])
    estimator.partial_fit(X[y == 0], words[y == 0], classes=["yes", "no"]).partial_fit(X[y == 1], words[y == 1])
    assert list(estimator.classes_) == ["no", "yes"]
    with pytest.raises(ValueError, match=r"y holds .*maybe.*, which is none of"):
        estimator.partial_fit(X[:2], ["no", "maybe"])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, 1, 2], "two are needed"),
        ([1], "two are needed"),
        ([0, "a"], "[Mm]ix of"),
        ([None, 1], "[Uu]nknown label type"),
        ([1, 2], "y holds 0, which is none of"),
    ],
)
def test_classes_that_make_no_sense_are_refused(two_classes, classes, message):
    with pytest.raises(ValueError, match=message):
        ShallowNetworkClassifier(max_iter=2).partial_fit(*two_classes, classes=classes)


def test_the_logarithm_of_a_probability_is_exact_where_the_probability_is_0(two_classes):
    X, y = two_classes
    estimator = ShallowNetworkClassifier((), max_iter=20, dtype="float64", random_state=0).fit(X, y)
    np.testing.assert_allclose(estimator.predict_log_proba(X), np.log(estimator.predict_proba(X)), atol=1e-14)
    estimator = ShallowNetworkClassifier((), max_iter=1, dtype="float64").fit([[-1.0], [1.0]], [0, 1])
    estimator.coefs_, estimator.intercepts_ = [np.ones((1, 1))], [np.zeros(1)]  # the logit is the feature itself
    Z = np.array([-800, -40, -1e-9, 0, 3, 40, 800])
    np.testing.assert_array_equal(estimator.decision_function(Z[:, None]), Z)
    of_1 = [min(z, 0) - math.log1p(math.exp(-abs(z))) for z in Z]
    expected = np.stack([of_1 - Z, of_1], axis=1)
    np.testing.assert_allclose(estimator.predict_log_proba(Z[:, None]), expected, rtol=1e-15, atol=1e-16)
    assert estimator.predict_log_proba([[-800.0], [800.0]]).tolist() == [[0, -800], [-800, 0]]


def test_a_class_that_was_never_seen_counts_as_wrong(two_classes):
    X, y = two_classes
    estimator = ShallowNetworkClassifier(max_iter=20, random_state=0).fit(X, y)
    right = estimator.predict(X) == y
    y = np.where(np.arange(len(y)) < 100, 7, y)
    assert estimator.score(X, y) == np.mean(right & (y != 7))


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("options", [{}, MINIBATCHES])
def test_a_sparse_matrix_gives_what_a_dense_one_gives(two_classes, options, form, dtype, monkeypatch):
    X, y = two_classes
    X = np.where(X > 0, X * 20, 0).astype(dtype)
    dense = ShallowNetworkClassifier(max_iter=20, random_state=0, **options).fit(X, y)
    sparse = clone(dense).fit(in_form(X, form), y)
    assert disagreement(network(sparse), network(dense)) == 0
    monkeypatch.setattr(inputs_module, "BLOCK_BYTES", 70 * 6 * 8)
    np.testing.assert_allclose(sparse.decision_function(in_form(X, form)), dense.decision_function(X), rtol=1e-5)
    monkeypatch.setattr(inputs_module.machine, "free_memory", lambda: 10**3)
    with pytest.raises(ValueError, match=r"a sparse X \(300, 6\) is made dense .* 0\.0 GB are free; reduce"):
        clone(dense).fit(in_form(X, form), y)


def in_form(X, form):
    return getattr(scipy.sparse, f"{form}_array")(X)


@pytest.mark.parametrize(
    ("change", "sample_weight", "message"),
    [
        ({}, [-1, *[1] * 299], "sample_weight: finite weights from 0 on"),
        ({}, [np.nan, *[1] * 299], "sample_weight: finite weights from 0 on"),
        ({}, [1] * 200, r"sample_weight.shape == \(200,\), expected \(300,\)"),
        ({}, ["a"] * 300, "weights must be numbers"),
        ({}, [1j] * 300, "weights must be numbers"),
        ({"class_weight": "fair"}, None, "class_weight 'fair': a dictionary"),
        ({"class_weight": {2: 1}}, None, "class_weight names 2, and the classes are 0 and 1"),
        ({"class_weight": {0: -1}}, None, "class_weight: finite weights from 0 on"),
        ({"class_weight": {0: 0, 1: 0}}, None, "all sample weights are zero"),
    ],
)
def test_weights_that_make_no_sense_are_refused(two_classes, change, sample_weight, message):
    with pytest.raises(ValueError, match=message):
        ShallowNetworkClassifier(**change).fit(*two_classes, sample_weight=sample_weight)


def test_columns_are_known_by_name(two_classes):
    pandas = import_or_skip("pandas")
    frame = pandas.DataFrame(two_classes[0], columns=list("abcdef"))
    estimator = ShallowNetworkClassifier(max_iter=2).fit(frame, two_classes[1])
    assert list(estimator.feature_names_in_) == list("abcdef")
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[list("fedcba")])


@pytest.mark.parametrize(
    ("dtype", "computed"), [(np.uint8, "float32"), (np.float32, "float32"), (np.float64, "float64"), (int, "float64")]
)
def test_it_computes_in_the_dtype_of_x_unless_one_is_named(two_classes, dtype, computed):
    X, y = two_classes
    X = np.clip(np.rint(20 * X + 100), 0, 255).astype(dtype)
    for asked, given in ((None, computed), ("float32", "float32"), ("float64", "float64")):
        estimator = ShallowNetworkClassifier(max_iter=2, dtype=asked).fit(X, y)
        assert {W.dtype.name for W in estimator.coefs_} == {given}
        assert estimator.predict_proba(X).dtype == given


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
        ({"solver": "sgd"}, "solver 'sgd': choose gd, momentum, adam"),
        ({"solver": ["adam"]}, r"solver \['adam'\]: choose gd"),
        ({"batch_size": 0}, "batch size 0: at least 1"),
        ({"batch_size": 2.5}, "batch size 2.5: a whole number"),
        ({"shuffle": "file"}, "shuffle 'file': True or False"),
        ({"solver": "momentum", "momentum": 1}, r"momentum 1\.0: a number from 0 to below 1"),
        ({"solver": "adam", "momentum": -0.1}, r"momentum -0\.1: a number from 0 to below 1"),
        ({"beta_2": np.nan}, "beta.2 nan: a number from 0 to below 1"),
        ({"epsilon": "small"}, "epsilon 'small': a number"),
    ],
)
def test_what_makes_no_sense_is_told_by_fit(two_classes, change, message):
    estimator = ShallowNetworkClassifier(**change)
    with pytest.raises(ValueError, match=message):
        estimator.fit(*two_classes)


def test_a_run_that_diverges_leaves_what_was_learnt(two_classes):
    X, y = two_classes
    estimator = ShallowNetworkClassifier(max_iter=10, random_state=0, **MINIBATCHES).fit(X, y)
    undisturbed = pickle.loads(pickle.dumps(estimator)).partial_fit(X, y)
    with pytest.raises(TrainingError, match=r"at update 5\d; try a learning rate below 1e\+200"):
        estimator.set_params(learning_rate=1e200).partial_fit(X, y)
    estimator.set_params(learning_rate=None).partial_fit(X, y)
    assert disagreement(network(estimator), network(undisturbed)) == 0
    assert estimator.n_iter_ == 20


def test_a_run_that_diverges_leaves_nothing_behind(two_classes):
    estimator = ShallowNetworkClassifier(learning_rate=1e30)
    with pytest.raises(TrainingError, match="try a learning rate below 1e\\+30"):
        estimator.fit(*two_classes)
    with pytest.raises(NotFittedError):
        estimator.predict(two_classes[0])
