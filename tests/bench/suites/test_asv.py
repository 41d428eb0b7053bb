"""asv finds, checks and times operations of anyone; their results are rows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asv_runner.discovery import disc_benchmarks, get_benchmark_from_name

from unpool_xp.bench import Operation, OperationError, asv_suite
from unpool_xp.bench.cases import loading
from unpool_xp.bench.rows.readers import read_results
from unpool_xp.bench.suites.asv import BACKEND_MODES, HARNESS_VERSION

OPERATIONS = """
import array_api_compat
from unpool_xp.bench import Operation, Parameter

def total(x, *, axis):
    return array_api_compat.array_namespace(x).sum(x, axis=axis)

TOTAL = Operation(
    name="total", function=total, parameters={"axis": Parameter(help="Which.", default=-1)},
    shapes=[(2, 3), (64, 1000)], lazy=False, compiled=False,
)
WRONG = Operation(
    name="wrong", function=lambda x: 2 * x, reference=lambda x: 3 * x, shapes=[(4, 5)]
)
"""
TIME = "suite.bench_ops.Time.time_call"
CASES = ["total-2x3-float32", "total-64x1000-float32", "wrong-4x5-float32"]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of benchmarks of somebody's operations."""
    folder = tmp_path / "suite_of_others"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "my_ops.py").write_text(OPERATIONS)
    lines = "from unpool_xp.bench import asv_suite\nglobals().update(asv_suite('my_ops.py'))\n"
    (folder / "bench_ops.py").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] in (folder.name, "my_ops")]:
        del sys.modules[name]


def test_asv_finds_a_benchmark_for_each_case_and_backend(suite: Path) -> None:
    found = {one.name: one for one in disc_benchmarks(str(suite))}
    names = ("Time.time_call", "PeakMemory.peakmem_call", "PeakMemory.peakmem_reference")
    assert set(found) == {f"bench_ops.{name}" for name in names}
    for one in found.values():
        assert one.param_names == ["case", "how"]
        assert one.params == [[*map(repr, CASES)], [repr(str(on)) for on in BACKEND_MODES]]
        assert (one.version, bool(one.pretty_name)) == (HARNESS_VERSION, True)
        assert one.check(str(suite))
        # asv runs one in a process that imports nothing but its module, by its class.
        number = get_benchmark_from_name(str(suite), f"{one.name}-{len(BACKEND_MODES)}")
        assert number._current_params == (CASES[1], "numpy")
        assert not number.do_setup()
        number.func(*number._current_params)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ((CASES[0], "dask"), "total does not run on lazy arrays"),
        ((CASES[0], "jax:cpu compiled"), "total is not to be compiled"),
        ((CASES[0], "cupy:cuda"), "CUDA_VISIBLE_DEVICES hides every GPU"),
        ((CASES[2], "numpy"), None),
    ],
)
def test_what_is_not_supported_is_skipped_and_what_is_wrong_fails(
    suite: Path, cell: Any, said: str | None, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    time = get_benchmark_from_name(str(suite), "bench_ops.Time.time_call")
    time._current_params = cell
    if said is None:
        with pytest.raises(RuntimeError, match=r"wrong result: y\[0, 0\] is .*20 of 20 elements"):
            time.do_setup()
    else:
        assert time.do_setup()
        assert said in capsys.readouterr().out


def test_results_of_asv_are_rows(suite: Path, tmp_path: Path) -> None:
    (suite / "more.py").write_text(OPERATIONS.replace('"total"', '"again"'))
    loading.load_operations(str(suite / "my_ops.py"))
    params = [[*map(repr, [*CASES, "gone-1x2-float32", "total-9x9-float32"])], ["'numpy'"]]
    timed = [[1.0, 2.0, None, 3.0, 4.0], params, HARNESS_VERSION]
    result = {
        "commit_hash": "0" * 40,
        "date": 0,
        "params": {"machine": "m", "cpu": "c"},
        "result_columns": ["result", "params", "version"],
        "results": {TIME: timed},
    }
    (tmp_path / "a.json").write_text(json.dumps(result))
    read = read_results([tmp_path / "a.json"])
    found = [(row.function, tuple(row.shape), row.samples_s) for row in read.rows]
    assert found == [
        ("my_ops.total", (2, 3), [1.0]),
        ("my_ops.total", (64, 1000), [2.0]),
        ("my_ops.wrong", (4, 5), []),
    ]
    assert [problem.reason.partition(") ")[2].partition(";")[0] for problem in read.problems] == [
        "unknown operation 'gone'",
        "total has no case total-9x9-float32",
    ]


SHAPELESS = Operation(name="shapeless", function=abs)
TWICE = Operation(name="twice", function=abs, shapes=[(2, 2), (2, 2)])


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (SHAPELESS, OperationError, "operations: shapeless has no shapes"),
        ([TWICE], OperationError, "operations: two cases are called twice-2x2-float32"),
        (abs, TypeError, "operations=<built-in function abs> must be an Operation"),
        ("nowhere.py", OperationError, "nowhere.py: no such file"),
    ],
)
def test_operations_that_cannot_be_timed_are_named(
    given: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        asv_suite(given)
