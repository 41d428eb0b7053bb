"""The gradients of a backward case are checked, then timed with the outputs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.bench.catalog.test_gradients import DIFFERENTIABLE
from tests.conftest import MLX
from tests.support.rows import make_row
from unpool_xp import backends
from unpool_xp.backends import GradientsUnavailableError
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.native import output_names
from unpool_xp.bench.measure.measurement import cells_of
from unpool_xp.bench.measure.session import DeviceInputs, Session, UnsupportedCaseError
from unpool_xp.bench.measure.sweep import case_fields, run_sweep
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.names import case_name, name_of_case
from unpool_xp.bench.terminal.choice import code_for
from unpool_xp.bench.verdicts.decisions import decide
from unpool_xp.bench.verdicts.ranking import by_workload, rank

POOL = Case("max_pool", (2, 3, 8, 8), kernel=2, backward=True)
MEAN = Case("avg_pool", (2, 3, 8, 8), kernel=2, backward=True)
UNPOOL = Case("max_unpool", (2, 3, 4, 4), kernel=2, backward=True)
CONVOLVE = Case("conv_transpose", (2, 3, 4, 4), kernel=3, stride=2, out_channels=2, backward=True)


def test_a_backward_case_reads_cotangents_and_writes_gradients() -> None:
    assert list(POOL.inputs) == ["x", "cotangent"]
    assert list(POOL.outputs) == ["values", "indices", "x_gradient"]
    assert POOL.bytes_moved == POOL.forward.bytes_moved + 4 * (96 + 384)
    assert POOL.flops == 96 * 3 + 96
    assert list(CONVOLVE.outputs) == ["convolved", "x_gradient", "weight_gradient"]
    assert CONVOLVE.flops == 3 * CONVOLVE.forward.flops
    assert UNPOOL.flops == 0
    nearest = Case("nearest_unpool", (1, 2, 3, 3), scale=2, backward=True)
    assert nearest.flops == 2 * (36 - 9)
    assert POOL.arrays()["cotangent"].tobytes() == POOL.arrays()["cotangent"].tobytes()


def test_integers_have_no_gradient() -> None:
    with pytest.raises(ValueError, match="backward=True: max_pool of uint8 has no gradient"):
        Case("max_pool", (2, 3, 8, 8), kernel=2, dtype="uint8", backward=True)


@pytest.mark.parametrize("label", ["numpy", "dask", "array_api_strict"])
def test_a_library_without_gradients_says_so(label: str) -> None:
    backend = backends.load(label)
    with pytest.raises(UnsupportedCaseError, match=f"^{label} has no gradients$"):
        DeviceInputs(backend, POOL)
    session = Session(backend, POOL)
    assert not session.prepare()
    assert session.finish().error == f"{label}: {label} has no gradients"
    with pytest.raises(GradientsUnavailableError):
        backend.with_gradients(lambda x: x, [0])


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.name)
@pytest.mark.parametrize("label", ["torch:cpu", *MLX])
def test_eager_gradients_are_right_portable_and_native(label: str, case: Case) -> None:
    backend = backends.load(label)
    inputs = DeviceInputs(backend, case)
    natives = [n.name(case) for n in case.natives(backend.library) if n.reason(case) is None]
    for function in (None, *natives):
        implementation = "native" if function else "portable"
        session = Session(backend, case, "eager", implementation, function, inputs=inputs)
        assert session.prepare(), session.measured.error
    assert not any(getattr(array, "requires_grad", False) for array in inputs.device)


@pytest.mark.parametrize("case", [POOL, DIFFERENTIABLE[-1]], ids=lambda case: case.name)
def test_the_gradients_of_jax_are_right_compiled(case: Case) -> None:
    backend = backends.load("jax:cpu")
    inputs = DeviceInputs(backend, case)
    for function in (None, *(native.name(case) for native in case.natives("jax")[:1])):
        implementation = "native" if function else "portable"
        session = Session(backend, case, "compiled", implementation, function, inputs=inputs)
        assert session.prepare(), session.measured.error


def double(gradient: torch.Tensor) -> torch.Tensor:
    return 2 * gradient


def without_last_row(gradient: torch.Tensor) -> torch.Tensor:
    gradient = gradient.clone()
    gradient[..., -1, :] = 0
    return gradient


def with_one_nan(gradient: torch.Tensor) -> torch.Tensor:
    gradient = gradient.clone()
    gradient[1, 2, 3, 3] = torch.nan
    return gradient


@pytest.mark.parametrize("case", [POOL, MEAN, UNPOOL, CONVOLVE], ids=lambda case: case.operation)
@pytest.mark.parametrize("change", [double, without_last_row, with_one_nan, torch.zeros_like])
def test_a_wrong_gradient_is_never_timed(case: Case, change: Callable[..., Any]) -> None:
    right = case.definition.function

    def wrong(x: Any, *others: Any, **options: Any) -> Any:
        if isinstance(x, torch.Tensor):
            x = x.clone()
            x.register_hook(change)
        return right(x, *others, **options)

    definition = dataclasses.replace(case.definition, function=wrong)
    session = Session(backends.load("torch:cpu"), case.replace(operation=definition))
    assert not session.prepare()
    assert session.sample(3) == []
    name = next(iter(case.gradients))
    assert re.match(rf"wrong result: {name}\[.*\] is .*, should be ", session.finish().error or "")


def test_several_outputs_have_a_cotangent_each() -> None:
    for label in ("torch:cpu", "jax:cpu", *MLX):
        backend = backends.load(label)
        # Of x and y, with n between that is no number to differentiate by.
        function = backend.with_gradients(lambda x, n, y: (x * y, n, x + 2 * y), [0, 2], [0, 2])
        arrays = [np.asarray([float(v)], np.float32) for v in (3, 1, 5, 10, 100)]
        arrays[1] = arrays[1].astype(np.int32)
        found = [int(backend.to_numpy(a)[0]) for a in function(*map(backend.asarray, arrays))]
        assert found == [15, 1, 13, 10 * 5 + 100, 10 * 3 + 200]


def made_by(code: list[str], inputs: DeviceInputs) -> list[Any]:
    """Run code to paste; return the outputs and gradients that it makes."""
    case = inputs.case
    names: dict[str, Any] = {n: inputs.backend.asarray(a) for n, a in inputs.host.items()}
    exec("\n".join(code), names)
    return [inputs.backend.to_numpy(names[n]) for n in (*output_names(case), *case.gradients)]


@pytest.mark.parametrize(
    ("label", "mode", "case"),
    [
        *(("torch:cpu", "eager", case) for case in (POOL, UNPOOL, CONVOLVE)),
        *(("jax:cpu", "compiled", case) for case in (POOL, CONVOLVE)),
        *((label, "eager", case) for label in MLX for case in (POOL, UNPOOL, CONVOLVE)),
        *((label, "compiled", CONVOLVE) for label in MLX),
    ],
)
def test_the_code_to_paste_makes_the_gradients(label: str, mode: str, case: Case) -> None:
    inputs = DeviceInputs(backends.load(label), case)
    cells = [cell for cell in cells_of(case, label, [mode]) if "values" not in cell.function]
    for cell in cells:
        if cell.implementation == "native":
            native = case.find_native(inputs.backend.library, cell.function)
            if native.reason(case) is not None:
                continue
        fields = {"backend_version": "", **case_fields(case, cell)}
        code = code_for(case, make_row(**fields))
        assert inputs.host_inputs.expected.check(made_by(code, inputs)) == "all"


def test_code_for_torch_compile_compiles_the_forward() -> None:
    native = CONVOLVE.natives("torch")[0]
    assert native.code(CONVOLVE, "torch.compile") == [
        "import torch",
        "x.requires_grad_()",
        "weight.requires_grad_()",
        "@torch.compile",
        "def compiled(x, weight):",
        "    y = torch.nn.functional.conv_transpose2d(x, weight, stride=(2, 2))",
        "    return y",
        "y = compiled(x, weight)",
        "x_gradient, weight_gradient = torch.autograd.grad(y, (x, weight), cotangent)",
    ]


def test_forward_and_backward_are_rows_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    half = POOL.forward.replace(dtype="bfloat16")
    run_sweep([POOL, POOL.forward, half], ["numpy"], out=out, rounds=2, cell_s=0.0, processes=1)
    every = read_rows([out]).rows
    without = [row for row in every if row.dtype == "bfloat16"]
    assert {row.error for row in without} == {"numpy has no bfloat16"}
    # Known without asking the worker, which would have said its version.
    assert {row.backend_version for row in without} == {""}
    rows = [row for row in every if row not in without]
    backward = [row for row in rows if row.pass_ == "backward"]
    assert len(backward) == len(rows) / 2
    for row in backward:
        assert name_of_case(row) == POOL.name
        assert (row.bytes_moved, row.flops) == (POOL.bytes_moved, POOL.flops)
        assert (row.error, row.checked) == ("numpy has no gradients", False)
    assert all(row.checked or "cannot do it" in row.error for row in rows if row not in backward)
    assert {len({row.pass_ for row in some}) for some in by_workload(rows).values()} == {1}
    assert len(by_workload(rows)) == 2
    decisions = decide(map(rank, by_workload(rows).values()))
    assert [line.operation for line in decisions] == ["max_pool", "max_pool backward"]
    assert case_name(backward[0]).startswith("max_pool backward 2x3x8x8, kernel 2x2, stride 2x2, ")
