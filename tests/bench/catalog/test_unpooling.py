"""The conversion of indices is an operation of the suite like the others."""

from __future__ import annotations

import pytest

from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.session import Session


@pytest.mark.parametrize("label", ["numpy", "torch:cpu", "dask"])
@pytest.mark.parametrize(
    ("source", "target"), [("torch", "onnx"), ("onnx", "chainer"), ("tensorflow", "matlab")]
)
def test_converted_indices_are_those_of_the_reference(label: str, source: str, target: str) -> None:
    window = {"kernel": 3, "stride": 2, "padding": 1}
    given = {"source": source, "target": target, **window}
    session = Session(
        backends.load(label), Case("convert_indices", (2, 3, 4, 5), dtype="int64", **given)
    )
    assert session.prepare(), session.measured.error
    assert session.measured.check_scope == "all"


def test_a_name_has_the_conventions_that_are_not_the_default() -> None:
    case = Case("convert_indices", (2, 3, 4, 5), dtype="int64", kernel=2, target="matlab")
    assert case.name == "convert_indices-2x3x4x5-target=matlab-k2x2-s2x2-int64"
    assert Case.from_json(case.to_json()) == case
