"""A model as an ONNX file, for programs that have neither ssnn nor Python: raw pixels in, digits and probabilities out.

Input and outputs of the graph:

    pixels         uint8 (m, n0)   grey values, 0 (black) … 255 (ink)
    digits         int64 (m,)      the digit that each image is taken for
    probabilities  float64 (m, 2)  of either digit

It computes in float64, as `ssnn.Model` does by default. ONNX Runtime runs it from version 1.15 on.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ssnn.errors import SsnnError
from ssnn.model.model import Model
from ssnn.system.files import atomic_write
from ssnn.version import __version__

OPSET = 17  # of 2022: whatever runs ONNX today knows it
IR_VERSION = 8
MAX_BYTES = 2 * 10**9  # of parameters: no ONNX file holds more than 2 GiB in all


def export_onnx(model: Model, path: str | Path) -> None:
    """Write a model with its standardisation as an ONNX file, which takes raw pixels.

    Raises
    ------
    SsnnError
        If the file cannot be written, the model is too large for one, or onnx is not installed.
    """
    size = np.dtype(np.float64).itemsize * sum(parameters.size for layer in model.network for parameters in layer)
    if size > MAX_BYTES:
        raise SsnnError(f"{path} not written: the model takes {size / 1e9:,.1f} GB, and an ONNX file holds 2; save it")
    try:
        import onnx
    except ImportError:
        raise SsnnError("onnx is not installed; what would help: python -m pip install 'ssnn[onnx]'") from None
    proto = onnx.helper.make_model(
        _graph(model),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ssnn",
        producer_version=__version__,
    )
    onnx.checker.check_model(proto, full_check=True)
    with atomic_write(path) as put:
        put(proto.SerializeToString())


def _graph(model: Model) -> Any:
    """The formulas of `ssnn.standardize` and `ssnn.network`, with a sample as a row."""
    from onnx import TensorProto, helper, numpy_helper

    standardization = model.standardization
    constants = {
        "features": standardization.features.astype(np.int64),
        "mean": standardization.mean,
        "std": standardization.std,
        "zero": np.float64(0),
        "digit_0": np.int64(model.data.digits[0]),
        "digit_1": np.int64(model.data.digits[1]),
        "columns": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["pixels", "features"], ["kept"], axis=1),
        node("Cast", ["kept"], ["rows"], to=TensorProto.DOUBLE),
        node("Sub", ["rows", "mean"], ["centred"]),
        node("Div", ["centred", "std"], ["A0"]),
    ]
    for k, (W, b) in enumerate(model.network, start=1):
        constants |= {f"W{k}": np.ascontiguousarray(W.T, np.float64), f"b{k}": b[:, 0].astype(np.float64)}
        # Not Gemm: up to 1.17.3, ONNX Runtime fuses it with a Relu into what it has not got in float64.
        nodes.append(node("MatMul", [f"A{k - 1}", f"W{k}"], [f"WA{k}"]))
        nodes.append(node("Add", [f"WA{k}", f"b{k}"], [f"Z{k}"]))
        if k < len(model.network):
            nodes.append(node("Relu", [f"Z{k}"], [f"A{k}"]))
    logit = f"Z{len(model.network)}"
    nodes += [
        node("Neg", [logit], ["against"]),
        node("Concat", ["against", logit], ["logits"], axis=1),
        node("Sigmoid", ["logits"], ["probabilities"]),
        node("Squeeze", [logit, "columns"], ["logit"]),
        node("Greater", ["logit", "zero"], ["is_1"]),
        node("Where", ["is_1", "digit_1", "digit_0"], ["digits"]),
    ]
    return helper.make_graph(
        nodes,
        "ssnn",
        inputs=[helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["m", model.pixels])],
        outputs=[
            helper.make_tensor_value_info("digits", TensorProto.INT64, ["m"]),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["m", 2]),
        ],
        initializer=[numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
