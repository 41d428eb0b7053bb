"""The libraries' own functions give the oracle's answers, where they claim to."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pytest
import torch

from tests.conftest import COMPILED, CPU
from tests.support.cases import SMALL
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.native import Native
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.measure.session import DeviceInputs, Session

CASES = [
    *SMALL,
    Case("max_pool", (2, 3, 7, 8), kernel=(3, 2)),
    Case("max_pool", (2, 3, 6, 6), kernel=2, dtype="int32"),
    Case("max_pool", (2, 3, 6, 7, 5), kernel=3, stride=2, padding=1),
    Case("max_unpool", (1, 2, 3, 2, 4), kernel=2),
    Case("nearest_unpool", (2, 3, 7), scale=3),
    Case("nearest_unpool", (1, 2, 2, 3, 2), scale=(2, 3, 1)),
    Case("avg_pool", (2, 3, 7, 8), kernel=(3, 2)),
    Case("avg_pool", (2, 3, 6, 7, 5), kernel=3, stride=2, padding=1, dtype="float16"),
    Case("fractional_max_pool", (3, 11, 9), kernel=(2, 3), scale=(0.5, 0.7)),
    Case("fractional_max_pool", (4, 8, 40, 50), kernel=2, scale=0.6),
    Case("linear_unpool", (2, 3, 7), scale=3),
    Case("linear_unpool", (1, 1, 30, 31), scale=3),
    Case("linear_unpool", (1, 2, 2, 3, 2), scale=(2, 3, 1)),
    Case("linear_unpool", (3, 4, 6), scale=(1.5, 2.5)),
    Case("conv_transpose", (3, 5, 4), kernel=(3, 3), stride=(2, 2), out_channels=2),
    Case("conv_transpose", (2, 256, 3, 3), kernel=4, stride=2, padding=1, out_channels=8),
    Case("conv_transpose", (2, 3, 4), kernel=1, stride=2, out_channels=2),
]
PAIRS = [
    pytest.param(label, case, native.title, id=f"{label}-{native.name(case)}-{case.name}")
    for label in CPU
    for case in (CASES if label != "jax:cpu" else CASES[::6])  # JAX compiles every step of it
    for native in case.natives(label.partition(":")[0])
    if native.reason(case) is None
]
# What a library refuses by itself: its message becomes the reason.
REFUSED = {
    ("torch.nn.functional.max_pool{d}d", "int32"),
    ("torch.nn.functional.max_pool{d}d", "uint8"),
    ("torch.nn.functional.avg_pool{d}d", "float16"),
}


@pytest.mark.parametrize(("label", "case", "title"), PAIRS)
def test_a_native_and_its_code_to_paste_equal_the_reference(
    label: str, case: Case, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backends.load(label)
    native = next(n for n in case.natives(backend.library) if n.title == title)
    inputs = DeviceInputs(backend, case)
    session = Session(backend, case, "eager", "native", native.name(case), inputs=inputs)
    assert session.prepare() or (title, case.dtype) in REFUSED, session.measured.error
    if not session.measured.checked:
        return
    assert session.measured.check_scope == "all"
    assert len(session.sample(2)) == 2
    drawn = native.drawn(case, backend)
    if drawn:  # what torch draws differs each time
        pool = getattr(torch.nn.functional, native.name(case).rpartition(".")[2])
        fixed = partial(pool, _random_samples=drawn["samples"])
        monkeypatch.setattr(
            torch.nn.functional, pool.__name__, lambda x, k, _random_samples, **o: fixed(x, k, **o)
        )
    check_code(native, inputs)


def check_code(native: Native, inputs: DeviceInputs, compiler: str | None = None) -> None:
    """Run the code to paste, and check what it makes against the reference."""
    case = inputs.case
    names: dict[str, Any] = dict(zip(case.inputs, inputs.device, strict=True))
    exec("\n".join(native.code(case, compiler)), names)
    made = ("y", "indices")[: 1 if native.values_only else len(case.outputs)]
    arrays = [inputs.backend.to_numpy(names[name]) for name in made]
    expected = inputs.host_inputs.expected
    assert expected.check(arrays, values_only=native.values_only) == "all"


FIRST = {case.operation: case for case in reversed(SMALL)}.values()


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.name)
def test_jax_natives_compile(case: Case) -> None:
    backend = backends.load("jax:cpu")
    for native in case.natives("jax"):
        if native.reason(case) is None:
            inputs = DeviceInputs(backend, case)
            session = Session(backend, case, "compiled", "native", native.name(case), inputs=inputs)
            assert session.prepare(), session.measured.error
            check_code(native, inputs, "jax.jit")


_OTHERS = ("numpy", "cupy", "jax", "dask", "mlx")
# No function of the library, nor a few lines of it, that people would write.
ABSENT = {
    ("torch", "fractional_max_unpool"),
    ("dask", "conv_transpose"),
    *product(_OTHERS, ("fractional_max_pool", "fractional_max_unpool")),
    *product(_OTHERS, ("adaptive_max_pool", "adaptive_avg_pool")),
    *product(("numpy", "cupy", "jax", "dask"), ("cubic_unpool",)),
}


def test_every_library_but_the_strict_one_has_its_natives() -> None:
    there = {(n.library, name) for name, spec in SINGLE_OPERATIONS.items() for n in spec.natives}
    assert there | ABSENT == set(product(("torch", *_OTHERS), SINGLE_OPERATIONS))
    assert not there & ABSENT
    assert {label.partition(":")[0] for label in COMPILED} <= {library for library, _ in there}


def test_what_gives_no_indices_says_so_and_moves_fewer_bytes() -> None:
    case = Case("max_pool", (2, 3, 8, 8), kernel=2)
    native = case.find_native("jax", "jax.lax.reduce_window (values only)")
    assert native.bytes_moved(case) == case.bytes_moved - 8 * 96
    session = Session(backends.load("jax:cpu"), case, "eager", "native", native.name(case))
    session.prepare()
    assert session.finish().bytes_moved == native.bytes_moved(case)


def test_an_unsuited_case_is_a_reason_without_a_time() -> None:
    case = Case("max_pool", (2, 3, 8, 8), kernel=3, stride=2)
    name = "numpy.ndarray.reshape + argmax"
    session = Session(backends.load("numpy"), case, "eager", "native", name)
    assert not session.prepare()
    assert session.sample(3) == []
    measured = session.finish()
    assert "stride (2, 2) is not the kernel (3, 3)" in (measured.error or "")
    assert measured.samples_s == []
    assert measured.first_call_s is None


def test_an_unknown_native_lists_the_known_ones() -> None:
    case = Case("nearest_unpool", (1, 1, 2, 2), scale=2)
    with pytest.raises(ValueError, match=r"no native 'np.tile'.*known: numpy.repeat, numpy.kron"):
        case.find_native("numpy", "np.tile")


@pytest.mark.parametrize(
    ("name", "case", "reason"),
    [
        (
            "torch.nn.functional.fractional_max_pool1d",
            Case("fractional_max_pool", (2, 3, 9), kernel=2, scale=0.5),
            "shape (2, 3, 9) has 1 spatial axes",
        ),
        (
            "torch.nn.functional.fractional_max_pool2d",
            Case("fractional_max_pool", (2, 3, 9, 9), kernel=2, scale=0.5, dtype="float16"),
            "in the dtype of the values, float16",
        ),
        (
            "jax.image.resize",
            Case("linear_unpool", (2, 3, 7), scale=1.5),
            "scale (1.5,) is not output size over input size",
        ),
        (
            "jax.lax.conv_transpose",
            Case("conv_transpose", (3, 5, 4), kernel=(2, 2), out_channels=2),
            "shape (3, 5, 4) is not (N, C, *spatial)",
        ),
    ],
)
def test_why_a_native_is_not_for_a_case_is_said(name: str, case: Case, reason: str) -> None:
    assert reason in (case.find_native(name.partition(".")[0], name).reason(case) or "")
