"""PyTorch's exporter to ONNX: onnxruntime runs the graph, with equal results."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from tests.support.calls import every_call, outputs


@every_call
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of sizes, which are constants
def test_onnxruntime_runs_what_is_exported(call: Any) -> None:
    function, arrays, options = call

    class Module(torch.nn.Module):
        def forward(self, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return outputs(function(*arrays, **options))

    model = io.BytesIO()
    names = [f"x{number}" for number in range(len(arrays))]
    inputs = tuple(torch.tensor(array) for array in arrays)
    # The one of two exporters that needs no other package.
    torch.onnx.export(Module(), inputs, model, dynamo=False, opset_version=18, input_names=names)
    session = onnxruntime.InferenceSession(model.getvalue(), providers=["CPUExecutionProvider"])
    others = [x[..., ::-1].copy() if x.dtype.kind == "f" and x.ndim > 2 else x for x in arrays]
    if others[0].dtype.kind == "f":
        others[0].flat[0] = np.nan
    got = session.run(None, dict(zip(names, others, strict=True)))
    for one, other in zip(got, outputs(function(*others, **options)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
