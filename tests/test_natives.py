"""The libraries' own functions give the oracle's answers, where they claim to."""

from __future__ import annotations

import pytest

from unpool_xp import backends
from unpool_xp.bench.cases import OPERATIONS, Case
from unpool_xp.bench.measure import Session
from unpool_xp.bench.natives import NATIVES, Native, find, natives

from .conftest import COMPILED, CPU
from .test_cases import SMALL

CASES = [
    *SMALL,
    Case("max_pool", (2, 3, 7, 8), kernel=(3, 2)),
    Case("max_pool", (2, 3, 6, 6), kernel=2, dtype="int32"),
    Case("max_pool", (2, 3, 6, 7, 5), kernel=3, stride=2, padding=1),
    Case("max_unpool", (1, 2, 3, 2, 4), kernel=2),
    Case("nearest_unpool", (2, 3, 7), scale=3),
    Case("nearest_unpool", (1, 2, 2, 3, 2), scale=(2, 3, 1)),
]
PAIRS = [
    pytest.param(label, case, native.title, id=f"{label}-{native.name(case)}-{case.name}")
    for label in CPU
    for case in CASES
    for native in natives(label.partition(":")[0], case)
    if native.reason(case) is None
]
# What a library refuses by itself: its message becomes the reason.
REFUSED = {
    ("torch.nn.functional.max_pool{d}d", "int32"),
    ("torch.nn.functional.max_pool{d}d", "uint8"),
}


@pytest.mark.parametrize(("label", "case", "title"), PAIRS)
def test_a_native_equals_the_oracle(label: str, case: Case, title: str) -> None:
    backend = backends.load(label)
    native = next(n for n in natives(backend.library, case) if n.title == title)
    session = Session(backend, case, "eager", "native", native.name(case))
    assert session.prepare() or (title, case.dtype) in REFUSED, session.error
    if session.checked:
        assert session.check_scope == "all"
        assert len(session.sample(2)) == 2


@pytest.mark.parametrize("case", SMALL[::3], ids=lambda case: case.name)
def test_jax_natives_compile(case: Case) -> None:
    backend = backends.load("jax:cpu")
    for native in natives("jax", case):
        if native.reason(case) is None:
            session = Session(backend, case, "compiled", "native", native.name(case))
            assert session.prepare(), session.error


def test_every_library_but_the_strict_one_has_a_native_for_every_operation() -> None:
    for library in ("numpy", "torch", "jax", "cupy", "dask"):
        assert {n.operation for n in NATIVES if n.library == library} == set(OPERATIONS)
    assert {label.partition(":")[0] for label in COMPILED} <= {n.library for n in NATIVES}


def test_what_gives_no_indices_says_so_and_moves_fewer_bytes() -> None:
    case = Case("max_pool", (2, 3, 8, 8), kernel=2)
    native = find("jax", case, "jax.lax.reduce_window (values only)")
    assert native.bytes_moved(case) == case.bytes_moved - 8 * 96
    session = Session(backends.load("jax:cpu"), case, "eager", "native", native.name(case))
    session.prepare()
    assert session.finish()["bytes_moved"] == native.bytes_moved(case)


def test_an_unsuited_case_is_a_reason_without_a_time() -> None:
    case = Case("max_pool", (2, 3, 8, 8), kernel=3, stride=2)
    name = "numpy.ndarray.reshape + argmax"
    session = Session(backends.load("numpy"), case, "eager", "native", name)
    assert not session.prepare()
    assert session.sample(3) == []
    fields = session.finish()
    assert "stride (2, 2) is not the kernel (3, 3)" in fields["error"]
    assert fields["samples_s"] == []
    assert fields["first_call_s"] is None


def test_an_unknown_native_lists_the_known_ones() -> None:
    case = Case("nearest_unpool", (1, 1, 2, 2), scale=2)
    with pytest.raises(ValueError, match=r"no native 'np.tile'.*known: numpy.repeat, numpy.kron"):
        find("numpy", case, "np.tile")


def test_a_native_that_is_wrong_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("nearest_unpool", (1, 1, 2, 2), scale=2)
    wrong = Native("numpy", "nearest_unpool", "wrong", lambda c, b: lambda x: x)
    monkeypatch.setattr("unpool_xp.bench.natives.NATIVES", (wrong,))
    session = Session(backends.load("numpy"), case, "eager", "native", "wrong")
    assert not session.prepare()
    assert session.error is not None
    assert "has shape (1, 1, 2, 2), should be (1, 1, 4, 4)" in session.error
