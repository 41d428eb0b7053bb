"""One node of ONNX, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 19  # the first with dilations in AveragePool and the second kind of Resize
IR_VERSION = 9  # of the same year: any onnxruntime that has the opset reads it

_TYPES = {"MaxPool": (TensorProto.FLOAT, TensorProto.INT64)}


def run(operator: str, *inputs: np.ndarray | None, **attributes: Any) -> list[np.ndarray]:
    """Return the outputs of an operator as it stands, on one thread; as `prepare` takes it."""
    return prepare(operator, *inputs, threads=1, optimized=False, **attributes)()


def prepare(
    operator: str,
    *inputs: np.ndarray | None,
    threads: int,
    optimized: bool = True,
    **attributes: Any,
) -> Callable[[], list[np.ndarray]]:
    """Return a call that gives the outputs of an operator; None leaves an optional input out.

    The first input is the graph's own, the others are constants in it, as models have them.
    """
    x, *constants = inputs
    assert x is not None
    while constants and constants[-1] is None:  # at the end it is left out, not left empty
        constants.pop()
    names = ["x", *("" if c is None else f"c{i}" for i, c in enumerate(constants))]
    types = _TYPES.get(operator, (TensorProto.FLOAT,))
    outputs = [f"y{i}" for i in range(len(types))]
    graph = helper.make_graph(
        [helper.make_node(operator, names, outputs, **attributes)],
        operator,
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in zip(outputs, types, strict=True)
        ],
        [numpy_helper.from_array(c, f"c{i}") for i, c in enumerate(constants) if c is not None],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # a refusal is an exception already
    options.intra_op_num_threads = threads
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": x})
