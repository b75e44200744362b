import numpy as np
import pytest

from ssnn.errors import UsageError
from ssnn.model.serialization import load_model, save_model
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
