import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from random import getstate
from typing import ClassVar

import numpy as np
import pytest
from support import skip, step

from benchmarks import article
from benchmarks.peers import (
    PEERS,
    ArticlePeer,
    CompiledTorchPeer,
    KerasPeer,
    OptaxPeer,
    Peer,
    SklearnPeer,
    TorchPeer,
    make_problem,
    open_peer,
    verify,
)
from benchmarks.peers.jax import JaxPeer
from benchmarks.peers.peer import INSTALL
from benchmarks.programs import EPOCH
from ssnn.agreement import disagreement, tolerance
from ssnn.backends.jax import JaxBackend
from ssnn.errors import BackendError, DisagreementError
from ssnn.initialization import initial_network
from ssnn.network import Layer
from ssnn.settings import Settings
from ssnn.standardize import fit_pixels, select, standardize
from ssnn.timing.trial import reference

SETTINGS = Settings(iterations=25)
MINIBATCHES = replace(EPOCH, iterations=5)
LEARNING_RATE = SETTINGS.learning_rate
ARTICLE = Path(__file__).parent / "bear.txt"
PROGRAM = Path(article.__file__)


def parameter(peer_class: type[Peer]):
    marks = []
    if issubclass(peer_class, TorchPeer):
        marks.append(pytest.mark.torch)
    if issubclass(peer_class, CompiledTorchPeer):  # PyTorch's own use of it, while torch.compile is imported
        marks.append(pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"))
    if issubclass(peer_class, JaxPeer):
        marks.append(pytest.mark.jax)
    return pytest.param(peer_class, marks=marks, id=peer_class.__name__)


every_peer = pytest.mark.parametrize("peer_class", [parameter(peer_class) for peer_class in PEERS])
CASES = [  # the article's program has no mini-batches
    pytest.param(peer_class, settings, marks=parameter(peer_class).marks, id=f"{peer_class.__name__}-{name}")
    for peer_class in PEERS
    for name, settings in (("full", SETTINGS), ("mini", MINIBATCHES))
    if settings is SETTINGS or peer_class is not ArticlePeer
]
every_peer_and_descent = pytest.mark.parametrize(("peer_class", "settings"), CASES)
# The peer that compiles takes long, and is the same as PyTorch's otherwise.
every_peer_but_the_compiled = pytest.mark.parametrize(
    ("peer_class", "settings"), [case for case in CASES if case.values[0] is not CompiledTorchPeer]
)


class MomentumPeer(ArticlePeer):
    """The article's descent with momentum."""

    def run(self, k):
        costs, velocity = [], [0.0] * len(self.weights)
        for _ in range(k):
            before = self.weights
            costs += super().run(1)
            velocity = [0.1 * v + (p - q) for v, p, q in zip(velocity, self.weights, before, strict=True)]
            self.weights = tuple(p + v for p, v in zip(before, velocity, strict=True))
        return costs


class EarlyStoppingPeer(ArticlePeer):
    def run(self, k):
        return super().run(min(k, 3))


class OneMoreUpdatePeer(ArticlePeer):
    """Its costs are right, and its last update is done twice."""

    def run(self, k):
        costs = super().run(k)
        super().run(1)
        return costs


class Problems:
    """What every peer is given, and the network and the costs that each should arrive at."""

    def __init__(self, digits):
        self.digits = digits
        self.references = {settings: reference(digits, settings) for settings in (SETTINGS, MINIBATCHES)}

    def problem(self, peer_class, dtype=None, constant_features="keep", settings=SETTINGS):
        return make_problem(self.digits, settings, dtype or peer_class.dtypes[0], constant_features)

    def open(self, peer_class, *arguments, **options) -> Peer:
        """Open a peer, or skip where its library is not usable."""
        try:
            return open_peer(peer_class, self.problem(peer_class, *arguments, **options))
        except BackendError as error:
            return skip(peer_class.library, str(error))

    def verify(self, peer, settings=SETTINGS) -> float:
        network, costs = self.references[settings]
        return verify(peer, settings.iterations, costs, network, tolerance(peer.dtype, len(costs)))


@pytest.fixture(scope="module")
def problems(few_digits) -> Problems:
    return Problems(few_digits)


def test_the_article_s_program_prints_its_lines(data_dir):
    # Threads of BLAS that wait for each other take minutes on a machine that is busy.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, PROGRAM, data_dir]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == ARTICLE.read_text()


def test_the_article_s_program_needs_a_folder():
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "usage: python benchmarks/article.py FOLDER   # of MNIST's four gzipped files\n"


def test_the_article_s_program_reads_the_same_digits(data_dir, mnist_digits):
    for (X, Y), ours in zip(article.read_digits(data_dir), (mnist_digits.train, mnist_digits.test), strict=True):
        np.testing.assert_array_equal(X.T, ours.pixels)
        np.testing.assert_array_equal(Y[0], ours.labels)


def test_the_article_s_program_standardizes_as_we_do(few_digits):
    train, test = few_digits.train.pixels, few_digits.test.pixels
    ours = fit_pixels(train, "keep")
    varying = fit_pixels(train).features
    for X, pixels in zip(article.standardize(train.T, test.T), (train, test), strict=True):
        expected = standardize(select(pixels, ours.features), ours.mean, ours.std)
        np.testing.assert_allclose(X[varying], expected[varying], rtol=1e-12, atol=1e-12)


def test_the_article_s_program_starts_from_our_weights():
    (W1, b1), (W2, b2) = initial_network((784, 10, 1), 561)
    for theirs, ours in zip(article.initial(10, 784), (W1, b1, W2, b2), strict=True):
        np.testing.assert_array_equal(theirs, ours)


def test_an_iteration_of_the_article_is_one_of_ours(random):
    X, Y = random.standard_normal((6, 40)), (random.random((1, 40)) > 0.5).astype(np.uint8)
    shapes = (5, 6), (5, 1), (1, 5), (1, 1)
    W1, b1, W2, b2 = parameters = tuple(random.standard_normal(shape) for shape in shapes)
    (V1, c1, V2, c2), J = article.iterate(parameters, X, Y, LEARNING_RATE)
    ours, cost = step((Layer(W1, b1), Layer(W2, b2)), X, Y, 1 / 40, LEARNING_RATE)
    assert disagreement((Layer(V1, c1), Layer(V2, c2)), ours) <= tolerance("float64", 1)
    assert pytest.approx(cost, rel=tolerance("float64", 1)) == J


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_features_are_left_out_or_zero(few_digits, dtype):
    dropped, kept = (make_problem(few_digits, SETTINGS, dtype, each) for each in ("drop", "keep"))
    varies = np.ptp(few_digits.train.pixels, axis=0) > 0
    assert (kept.X.shape, kept.X.dtype) == (few_digits.train.pixels.shape, dtype)
    assert not kept.X[:, ~varies].any()
    np.testing.assert_array_equal(kept.X[:, varies], dropped.X)
    np.testing.assert_array_equal(kept.network[0].W[:, varies], dropped.network[0].W)
    np.testing.assert_allclose(dropped.X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(dropped.X.std(axis=0), 1, rtol=1e-5)
    assert dropped.X.flags.c_contiguous


@every_peer
def test_every_peer_gives_the_costs_one_after_the_other(problems, peer_class):
    peer = problems.open(peer_class)
    _, costs = problems.references[SETTINGS]
    assert [*peer.run(2), *peer.run(3)] == pytest.approx(costs[:5], rel=tolerance(peer.dtype, SETTINGS.iterations))
    assert peer.version
    assert peer.device == "cpu" or peer.threads is None


@every_peer_and_descent
def test_every_peer_arrives_at_the_same_costs_and_network(problems, peer_class, settings):
    """And a second time, for `verify` begins at the start."""
    peer = problems.open(peer_class, settings=settings)
    first = problems.verify(peer, settings)
    assert problems.verify(peer, settings) == first <= tolerance(peer.dtype, len(problems.references[settings][1]))


@every_peer_but_the_compiled
def test_every_peer_arrives_there_in_each_dtype_and_without_constant_features(problems, peer_class, settings):
    for dtype in peer_class.dtypes:
        peer = problems.open(peer_class, dtype, peer_class.constant_features[0], settings)
        assert peer.dtype == dtype
        if peer_class is SklearnPeer and settings is MINIBATCHES and dtype == "float64":
            with pytest.raises(DisagreementError, match=r"differ by \d\.\de-0[7-9]"):  # of another ε
                problems.verify(peer, settings)
        else:
            problems.verify(peer, settings)


@every_peer_but_the_compiled
def test_other_work_is_rejected(problems, peer_class, settings):
    names = ("seed", "learning_rate") if settings is SETTINGS else ("beta_2", "batch_size")
    for name in names:
        value = getattr(settings, name)
        other = replace(settings, **{name: value + 1 if isinstance(value, int) else 0.99 * value})
        peer = problems.open(peer_class, settings=other)
        with pytest.raises(DisagreementError, match=rf"^{re.escape(peer.name)}: (cost \d+ of \d+ is|its network)"):
            problems.verify(peer, settings)


@pytest.mark.parametrize(
    ("peer_class", "message"),
    [
        (MomentumPeer, r"and the tolerance is 1\.7e-14$"),
        (EarlyStoppingPeer, "article returned 3 costs instead of 25"),
        (OneMoreUpdatePeer, r"article: its network differs .* and the tolerance is 1\.7e-14$"),
    ],
)
def test_other_descents_are_rejected(problems, peer_class, message):
    with pytest.raises(DisagreementError, match=message):
        problems.verify(problems.open(peer_class))


def test_a_cost_that_is_nan_is_rejected(problems):
    peer = problems.open(ArticlePeer)
    peer.X = peer.X.copy()
    peer.X[0, 0] = np.nan
    with pytest.raises(DisagreementError, match="cost 1 of 25 is nan"):
        problems.verify(peer)


@every_peer
def test_a_peer_leaves_global_state_alone(problems, peer_class):
    def states():
        torch = sys.modules.get("torch")
        generators = getstate(), repr(np.random.get_state()), torch and torch.get_rng_state().tolist()
        return generators, torch and torch.get_num_threads(), list(warnings.filters), dict(os.environ)

    problems.open(peer_class)  # its library is imported now
    before = states()
    problems.open(peer_class).run(2)
    assert states() == before


@pytest.mark.parametrize("peer_class", PEERS[1:])
def test_an_absent_library_is_named_with_what_to_install(problems, peer_class, monkeypatch):
    monkeypatch.setitem(sys.modules, peer_class.library, None)
    message = rf"^{re.escape(peer_class.name)} cannot run here: .*{peer_class.library}.*: " + re.escape(INSTALL)
    with pytest.raises(BackendError, match=message):
        open_peer(peer_class, problems.problem(peer_class))


@pytest.mark.jax
@pytest.mark.parametrize("peer_class", [KerasPeer, OptaxPeer])
def test_jax_without_a_device_is_reported(problems, peer_class, monkeypatch):
    problems.open(peer_class)
    monkeypatch.setattr(JaxBackend, "devices", classmethod(lambda cls: ()))
    with pytest.raises(BackendError, match="JAX finds no device; what would help: JAX_PLATFORMS left unset"):
        open_peer(peer_class, problems.problem(peer_class))


@pytest.mark.jax
def test_keras_arrives_at_the_cost_of_every_update(problems):
    """The peer does all batches in one execution and has their mean: here each is an execution that a callback sees."""
    peer = problems.open(KerasPeer, settings=MINIBATCHES)
    import keras

    class Recorder(keras.callbacks.Callback):
        costs: ClassVar[list[float]] = []

        def on_train_batch_begin(self, batch, logs=None):
            self.model.jax_state_sync()
            self.model.reset_metrics()

        def on_train_batch_end(self, batch, logs=None):
            self.costs.append(float(logs["loss"]))

    peer.model.steps_per_execution = 1
    peer.model.make_train_function(force=True)
    with peer.config():
        peer.model.fit(peer.X, peer.classes, batch_size=84, epochs=5, shuffle=False, verbose=0, callbacks=[Recorder()])
    _, costs = problems.references[MINIBATCHES]
    assert Recorder.costs == pytest.approx(costs, rel=0, abs=tolerance("float32", len(costs)))
    assert len(costs) == 15


@pytest.mark.jax
def test_keras_on_another_backend_is_refused(problems, monkeypatch):
    problems.open(KerasPeer)
    monkeypatch.setattr("keras.backend.backend", lambda: "tensorflow")
    with pytest.raises(
        BackendError, match="imported already, with backend 'tensorflow'; what would help: a new process"
    ):
        open_peer(KerasPeer, problems.problem(KerasPeer))


@pytest.mark.jax
def test_the_user_s_choice_of_a_keras_backend_is_left_alone(problems, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    problems.open(KerasPeer)
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    monkeypatch.delenv("KERAS_BACKEND")
    problems.open(KerasPeer)
    assert "KERAS_BACKEND" not in os.environ


@pytest.mark.torch
def test_what_torch_cannot_compile_is_reported(problems, monkeypatch):
    problems.open(TorchPeer)
    from torch._dynamo.exc import BackendCompilerFailed

    def run(self, k):
        raise error

    monkeypatch.setattr(TorchPeer, "run", run)
    monkeypatch.setattr(CompiledTorchPeer, "__init__", lambda self: None)
    error = BackendCompilerFailed(print, RuntimeError("No working C++ compiler found\nand more"), None)
    with pytest.raises(
        BackendError, match=r"cannot run here: No working C\+\+ compiler found; what would help: a C\+\+"
    ):
        CompiledTorchPeer().run(1)
