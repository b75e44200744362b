import math

import numpy as np
import pytest

from ssnn.errors import UsageError
from ssnn.model.serialization import load_model, save_model
from ssnn.optimizers import Adam, GradientDescent, Momentum
from ssnn.settings import MAX_LAYERS, Settings
from ssnn.training.trainer import fit


def test_as_many_layers_as_are_taken_can_be_saved_and_loaded(few_digits, tmp_path):
    model = fit(few_digits, settings=Settings(hidden=(1,) * MAX_LAYERS, iterations=1))
    save_model(model, tmp_path / "model")
    assert len(load_model(tmp_path / "model").network) == MAX_LAYERS + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": (1,) * (MAX_LAYERS + 1)}, "101 hidden layers: at most 100 are possible"),
        ({"constant_features": np.array(["drop"])}, "constant features .*: choose drop or keep"),
    ],
)
def test_what_no_model_file_could_hold_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Settings(**change)


@pytest.mark.parametrize(
    ("change", "optimizer", "learning_rate"),
    [
        ({}, GradientDescent(), 0.5),
        ({"optimizer": "momentum"}, Momentum(0.9), 0.05),
        ({"optimizer": "momentum", "momentum": 0, "learning_rate": 1}, Momentum(0.0), 1.0),
        ({"optimizer": "adam"}, Adam(0.9, 0.999, 1e-8), 0.01),
        ({"optimizer": "adam", "beta_1": 0, "beta_2": np.float32(0.5), "epsilon": 0}, Adam(0.0, 0.5, 0.0), 0.01),
    ],
)
def test_an_optimizer_has_its_usual_options_where_none_is_given(change, optimizer, learning_rate):
    settings = Settings(**change)
    assert settings.make_optimizer() == optimizer
    assert settings.learning_rate == learning_rate
    assert {type(value) for value in vars(optimizer).values()} <= {float}


@pytest.mark.parametrize(
    ("change", "batch_size", "order", "updates"),
    [
        ({}, None, None, 1),
        ({"batch_size": 84}, 84, "random", 151),
        ({"batch_size": np.int64(84), "order": "file"}, 84, "file", 151),
        ({"batch_size": 1}, 1, "random", 12_665),
        ({"batch_size": 12_664}, 12_664, "random", 2),
        ({"batch_size": 12_665}, 12_665, "random", 1),
        ({"batch_size": 12_666}, 12_666, "random", 1),
    ],
)
def test_a_pass_has_an_update_for_each_mini_batch(change, batch_size, order, updates):
    settings = Settings(**change)
    assert (settings.batch_size, settings.order) == (batch_size, order)
    assert settings.updates_per_iteration(12_665) == updates


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch size 0: at least 1 is needed"),
        ({"batch_size": -84}, "batch size -84: at least 1 is needed"),
        ({"batch_size": 84.0}, "batch size 84.0: a whole number is needed"),
        ({"batch_size": "84"}, "batch size '84': a whole number is needed"),
        ({"batch_size": 2**31}, "batch size 2,147,483,648: at most 2,147,483,647 is possible"),
        ({"batch_size": 84, "order": "sorted"}, "order 'sorted': choose random or file"),
        ({"batch_size": 84, "order": ["file"]}, "order ['file']: choose random or file"),
        ({"order": "file"}, "order file: it needs a batch size, for it is that of mini-batches"),
        ({"optimizer": "sgd"}, "optimizer 'sgd': choose gd, momentum or adam"),
        ({"optimizer": None}, "optimizer None: choose gd, momentum or adam"),
        ({"optimizer": ["adam"]}, "optimizer ['adam']: choose gd, momentum or adam"),
        ({"momentum": 0.9}, "momentum is an option of momentum, and the optimizer is gd"),
        ({"beta_1": 0.9}, "beta_1 is an option of adam, and the optimizer is gd"),
        ({"epsilon": 0.0}, "epsilon is an option of adam, and the optimizer is gd"),
        ({"optimizer": "momentum", "beta_2": 0.9}, "beta_2 is an option of adam, and the optimizer is momentum"),
        ({"optimizer": "adam", "momentum": 0.0}, "momentum is an option of momentum, and the optimizer is adam"),
        ({"optimizer": "momentum", "momentum": 1.0}, "momentum 1.0: a number from 0 to below 1 is needed"),
        ({"optimizer": "adam", "beta_1": -0.1}, "beta_1 -0.1: a number from 0 to below 1 is needed"),
        ({"optimizer": "adam", "beta_1": math.nan}, "beta_1 nan: a number from 0 to below 1 is needed"),
        ({"optimizer": "adam", "beta_2": 1}, "beta_2 1.0: a number from 0 to below 1 is needed"),
        ({"optimizer": "adam", "beta_2": "high"}, "beta_2 'high': a number is needed"),
        ({"optimizer": "adam", "epsilon": -1e-8}, "epsilon -1e-08: a finite number from 0 on is needed"),
        ({"optimizer": "adam", "epsilon": math.inf}, "epsilon inf: a finite number from 0 on is needed"),
        ({"optimizer": "adam", "epsilon": math.nan}, "epsilon nan: a finite number from 0 on is needed"),
        ({"optimizer": "adam", "learning_rate": 0}, "learning rate 0.0: a positive, finite number is needed"),
    ],
)
def test_optimizers_and_batches_that_make_no_sense_are_refused_in_one_line(change, message):
    with pytest.raises(UsageError) as error:
        Settings(**change)
    assert str(error.value) == message
