"""What `choose` says: within 80 columns, with code that runs, and as JSON that is JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console

from tests.support.command import APP, problem
from tests.support.rows import make_row
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.panel import panel_case
from unpool_xp.bench.choose import Choice
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.terminal.choice import (
    code_for,
    print_against,
    print_choice,
    sweep_command,
)
from unpool_xp.bench.terminal.choice_files import choice_as_csv, choice_as_json, choice_as_markdown
from unpool_xp.bench.verdicts.against import set_beside
from unpool_xp.cli.case_options import chosen_cases, given_parameters

CASE = Case("max_unpool", (2, 3, 8, 8), kernel=2)


def test_threads_that_were_chosen_are_part_of_the_answer() -> None:
    rows = [replace(row(CASE, "numpy", 1 / n), threads_asked=n) for n in (1, 2)]
    choice = Choice(CASE, rows, {})
    assert "use numpy 2 threads" in shown(choice)
    answer = choice_as_json(choice)
    assert answer["use"] == ["numpy 2 threads"]
    assert [entry["threads_asked"] for entry in answer["ranking"]] == [2, 1]
    variables = "OMP_NUM_THREADS=2 UNPOOL_XP_WORKERS=2"
    assert answer["code"][0] == f"# before Python starts: export {variables}"


def row(case: Case, backend: str, seconds: float, mode: Any = "eager", count: int = 12) -> Row:
    samples = [seconds * (1 + number / 1000) for number in range(count)]
    settled = case.to_json() | {"function": f"unpool_xp.{case.operation}"}
    return make_row(**settled, backend=backend, mode=mode, samples_s=samples, to_device_s=1e-6)


def shown(choice: Choice, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_choice(console, choice)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_function_of_a_library_is_the_answer_and_the_portable_one_comes_second() -> None:
    case = Case("max_pool", (2, 3, 8, 8), kernel=2)
    own = {"implementation": "native", "function": "torch.nn.functional.max_pool2d"}
    rows = [
        replace(row(case, "torch:cpu", 1e-5), **own),
        row(case, "jax:cpu", 4e-5, "compiled"),
        row(case, "torch:cpu", 5e-5),
    ]
    text = shown(Choice(case, rows, {}))
    lines = text.splitlines()
    assert " ".join(text.split()).count("use torch:cpu own max_pool2d: 10.1 µs per call") == 1
    assert "the fastest in 100% of resamples" in " ".join(text.split())
    assert "portable: jax:cpu compiled, 40.2 µs per call, x 4.00" in lines
    assert "with the copies there and back: torch:cpu own max_pool2d" in text
    call = "max_pool2d(x, kernel_size=(2, 2), stride=(2, 2), return_indices=True)"
    first, second = lines.index("to paste"), lines.index("to paste, portable")
    assert lines[first + 1 : second - 1] == [
        "  import torch",
        f"  y, indices = torch.nn.functional.{call}",
    ]
    assert "  y, indices = compiled(x)" in lines[second:]
    answer = choice_as_json(Choice(case, rows, {}))
    assert answer["use"] == ["torch:cpu own max_pool2d"]
    assert answer["code"] == [line[2:] for line in lines[first + 1 : second - 1]]
    assert answer["portable"]["use"] == "jax:cpu compiled"
    assert [entry["name"] for entry in answer["ranking"]] == [
        "torch:cpu own max_pool2d",
        "jax:cpu compiled",
        "torch:cpu",
    ]


def test_what_is_not_decided_is_no_tie_and_says_which_budget_would_decide() -> None:
    samples = [1e-5, 1.1e-5, 1.2e-5, 1.3e-5, 1.5e-5]
    rows = [
        replace(row(CASE, "numpy", 1.0), samples_s=samples),
        replace(row(CASE, "torch:cpu", 1.0), samples_s=[1.12 * s for s in samples]),
        replace(row(CASE, "dask", 3e-5), disturbed=[True] * 12),
    ]
    choice = Choice(CASE, rows, {}, budget_s=20.0)
    budget = choice.budget_needed(choice.ranking().timed[1])
    assert budget is not None
    text = shown(choice)
    assert f"not enough samples: --budget {budget} would decide: torch:cpu" in text
    assert "disturbed by other programs: dask" in text
    answer = choice_as_json(choice)
    assert answer["use"] == ["numpy"]
    assert [entry["beside_best"] for entry in answer["ranking"]] == ["same", *["undecided"] * 2]
    assert [entry["budget_needed_s"] for entry in answer["ranking"]] == [None, budget, None]


@pytest.mark.parametrize(("needed", "budget"), [(2.0, 40), (3.0, 60), (20.0, 400), (1.01, 30)])
def test_a_budget_that_would_decide_is_a_plain_number(needed: float, budget: int) -> None:
    entry = Choice(CASE, [row(CASE, "numpy", 1.0)], {}).ranking().timed[0]
    choice = Choice(CASE, [], {}, budget_s=20.0)
    assert choice.budget_needed(dataclasses.replace(entry, needed=needed)) == budget


def at_two_sizes(*, second_wins_when_large: bool) -> Choice:
    larger = Case("max_unpool", (2, 3, 16, 16), kernel=2)
    fast, slow = (2e-5, 4e-5) if second_wins_when_large else (4e-5, 2e-5)
    return Choice(
        CASE,
        [row(CASE, "numpy", 1e-5), row(CASE, "torch:cpu", 3e-5)],
        {1536: [row(larger, "numpy", slow), row(larger, "torch:cpu", fast)]},
    )


def test_the_answer_comes_with_the_sizes_where_it_changes() -> None:
    text = shown(at_two_sizes(second_wins_when_large=True))
    assert "use numpy" in text
    assert "from 1,536 elements: torch:cpu" in text
    assert max(map(len, text.splitlines())) <= 80
    table = [line for line in text.splitlines() if line.startswith(("numpy ", "torch:cpu "))]
    # Times the best at 384 and at 1,536 elements.
    assert [line.split()[1::2] for line in table] == [["1.0", "2.0"], ["3.0", "1.0"]]


def on_devices() -> Choice:
    large = Case("max_unpool", (8, 64, 1024, 1024), kernel=2)
    times = {"numpy": (2e-5, 9e-2), "torch:cuda": (4e-5, 1e-3), "averylonglibrary:cuda": (1, 1)}
    rows = [
        [row(case, name, taken[k]) for name, taken in times.items()]
        for k, case in enumerate((CASE, large))
    ]
    slow_copies = [
        each if each.backend == "numpy" else replace(each, from_device_s=0.5) for each in rows[1]
    ]
    return Choice(CASE, rows[0], {8 * 64 * 1024**2: slow_copies})


def test_a_device_is_said_to_win_from_a_size_on_with_and_without_copies() -> None:
    choice = on_devices()
    text = shown(choice)
    words = " ".join(text.split())
    assert "torch:cuda, data there: quicker from 536,870,912 elements on; slower up to 384" in words
    assert "torch:cuda, copies counted: never quicker up to 536,870,912 elements" in words
    assert "averylonglibrary:cuda, copies counted: never quicker up to" in words
    assert max(map(len, text.splitlines())) <= 80
    answer = json.loads(json.dumps(choice_as_json(choice), allow_nan=False))
    found = {(c["backend"], c["with_transfer"]): c for c in answer["device_crossovers"]}
    assert len(found) == 4
    assert found["torch:cuda", False]["wins_from"] == 8 * 64 * 1024**2
    assert found["torch:cuda", False]["loses_at"] == 384
    assert found["torch:cuda", True]["wins_from"] is None
    assert found["torch:cuda", True]["sizes"] == [384, 8 * 64 * 1024**2]


def test_without_a_change_it_says_how_far_and_nothing_of_a_device_that_is_not_there() -> None:
    choice = at_two_sizes(second_wins_when_large=False)
    text = shown(choice)
    assert "no other answer is sure from 384 to 1,536 elements" in text
    assert "beside the best on the CPU" not in text
    assert choice_as_json(choice)["device_crossovers"] == []


@pytest.mark.parametrize("operation", SINGLE_OPERATIONS)
@pytest.mark.parametrize(
    ("label", "mode"),
    [("numpy", "eager"), ("torch:cpu", "eager"), ("jax:cpu", "compiled"), ("dask", "eager")],
)
def test_the_line_to_paste_runs(operation: str, label: str, mode: str) -> None:
    case = panel_case(operation, "small", 2)
    backend = backends.load(label)
    inputs = {name: backend.asarray(array) for name, array in case.arrays().items()}
    exec("\n".join(code_for(case, row(case, label, 1.0, mode))), inputs)
    result = inputs["y"]
    assert tuple(result.shape) == case.output_shape


@pytest.mark.parametrize(("label", "mode"), [("numpy", "eager"), ("jax:cpu", "compiled")])
def test_the_lines_of_a_decoder_do_its_layers(label: str, mode: str) -> None:
    convolution = {"operation": "conv_transpose", "kernel": 3, "padding": 1, "out_channels": 2}
    layers = (
        {"operation": "max_pool", "kernel": 2, "name": "pool"},
        {**convolution, "stride": 1},
        {"operation": "max_unpool", "indices": "pool"},
        {**convolution, "stride": 2},
        {"operation": "max_pool", "kernel": 3},
    )
    case = Case("decoder", (1, 2, 8, 8), name="small", layers=layers)
    backend = backends.load(label)
    given = {name: backend.asarray(array) for name, array in case.arrays().items()}
    known = dict(given)
    exec("\n".join(code_for(case, row(case, label, 1.0, mode))), known)
    expected = case.definition.function(*given.values(), **case.options())
    for name, array in zip(("y", "indices"), expected, strict=True):
        np.testing.assert_allclose(backend.to_numpy(known[name]), backend.to_numpy(array), 1e-5)


def test_a_call_after_a_rest_and_processes_that_disagree_are_shown() -> None:
    seconds = [number * 1e-6 for number in (244, 245, 246, 578, 579, 580)]
    rows = [
        replace(row(CASE, "numpy", 1e-3), cold_s=2e-3),
        replace(row(CASE, "torch:cpu", 1.0), samples_s=seconds, process=[0] * 3 + [1] * 3),
        replace(row(CASE, "torch:cpu", 2e-3, "compiled"), cold_s=1.7e-2, disturbed=[True] * 12),
    ]
    text = shown(Choice(CASE, rows, {}))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if "a rest" in line]
    torch, numpy, compiled = lines[3:6]
    assert " - " in torch
    assert " 2.00 ms " in numpy
    assert " 17.0 ms " in compiled
    assert "! " in compiled
    assert "torch:cpu: 245 to 579 µs between processes" in lines
    narrow, _, _ = shown(Choice(CASE, rows, {}), width=40).partition("to paste")
    assert max(map(len, narrow.splitlines())) <= 40
    for time in ("412 µs", "1.01 ms", "2.01 ms", "4.88!"):
        assert time in narrow
    first, second, _ = choice_as_json(Choice(CASE, rows, {}))["ranking"]
    assert first["between_processes"] == [seconds[1], seconds[4]]
    assert (second["between_processes"], second["cold_s"]) == (None, 2e-3)


def test_json_has_no_infinity() -> None:
    choice = Choice(CASE, [row(CASE, "numpy", 1e-5, count=2)], {})
    answer = json.loads(json.dumps(choice_as_json(choice), allow_nan=False))
    assert answer["ranking"][0]["interval"] == [0.0, None]
    assert answer["code"][:2] == ["import numpy as np", "from unpool_xp import max_unpool"]


def test_the_answer_is_written_for_documents_and_spreadsheets() -> None:
    own = {"implementation": "native", "function": "torch.nn.functional.max_unpool2d"}
    rows = [
        replace(row(CASE, "torch:cpu", 1e-5), **own),
        replace(row(CASE, "numpy", 4e-5), cold_s=2e-3),
        replace(row(CASE, "dask", 1.0), checked=False, samples_s=[], error="=crashed | at 1 s"),
    ]
    choice = Choice(CASE, rows, {})
    page = choice_as_markdown(choice)
    assert page.startswith("### max_unpool-2x3x8x8-k2x2-s2x2-float32\n\n**use torch:cpu own max_")
    assert "\n- portable: numpy, 40.2 µs per call, x 4.00\n" in page
    _, rule, best, numpy = (line for line in page.splitlines() if line.startswith("|"))
    assert rule == "|--:|---|--:|--:|--:|--:|--:|"
    assert best.startswith("| 1 | torch:cpu own max_unpool2d | 10.1 µs | - | 10.0 to 10.1 µs |")
    assert numpy.startswith("| 2 | numpy | 40.2 µs | 2.00 ms |")
    assert "\n- dask: =crashed \\| at 1 s\n" in page
    assert "```python\nimport numpy as np\nfrom unpool_xp import max_unpool\n" in page
    first, second, failed = csv.DictReader(io.StringIO(choice_as_csv(choice)))
    assert (first["case"], first["place"], first["name"]) == (
        CASE.name,
        "1",
        "torch:cpu own max_unpool2d",
    )
    assert float(second["seconds"]) == pytest.approx(4.02e-5, rel=0.01)
    assert float(second["low_s"]) <= float(second["seconds"]) <= float(second["high_s"])
    assert (second["cold_s"], failed["seconds"]) == ("0.002", "")
    assert failed["reason"] == "'=crashed | at 1 s"


def test_rows_of_another_machine_are_set_beside_the_answer() -> None:
    there = replace(row(CASE, "torch:cuda", 1e-6), machine="gpu-machine", from_device_s=1e-3)
    slow = replace(row(CASE, "numpy", 3e-5), machine="old-machine")
    other_size = row(Case("max_unpool", (2, 3, 16, 16), kernel=2), "numpy", 1e-5)
    rows = [there, slow, replace(other_size, machine="third-machine")]
    choice = Choice(CASE, [row(CASE, "numpy", 1e-5)], {})
    others = set_beside({CASE.name: choice.rows}, rows)
    console, command = Console(file=io.StringIO(), width=200), sweep_command(CASE)
    print_against(console, others, command)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[1:4] == [
        "beside gpu-machine",
        "  on its GPU: torch:cuda, 1.01 µs per call, 10.0x as fast as here",
        "  on its GPU with the copies there and back, here too: torch:cuda, 1.00 ms per call, "
        "takes 32.3x as long as here",
    ]
    assert "  on its CPU: numpy, 30.2 µs per call, takes 3.00x as long as here" in lines
    nearest = "the nearest in size is max_unpool-2x3x16x16-k2x2-s2x2-float32"
    assert f"  no row of it there; {nearest}" in lines
    assert lines[-1] == f"  {command}"
    page = choice_as_markdown(choice, others, command)
    assert f"\n- no row of it there; {nearest}\n" in page.replace("\\_", "_")
    assert page.endswith(f"```shell\n{command}\n```\n")
    gpu, old, third = json.loads(json.dumps(choice_as_json(choice, others)))["against"]
    (case,) = gpu["cases"]
    assert case["gpu"]["times_here"] == pytest.approx(0.1)
    assert (case["gpu"]["beside_here"], case["cpu"]) == ("faster", None)
    assert old["cases"][0]["cpu"]["beside_here"] == "slower"
    assert (gpu["missing"], third["missing"]) == ([], [CASE.name])
    table = [*csv.DictReader(io.StringIO(choice_as_csv(choice, others)))]
    machines = [choice.rows[0].machine, "gpu-machine", "old-machine"]
    assert [line["machine"] for line in table] == machines


@pytest.mark.parametrize(
    "case",
    [
        Case("max_pool", (1, 2, 9, 8), kernel=(3, 2), stride=2, padding=1, dtype="float16"),
        Case("linear_unpool", (1, 2, 9, 8), scale=(2, 1.5)),
        Case("conv_transpose", (1, 2, 9, 8), kernel=2, stride=2, out_channels=3),
    ],
    ids=lambda case: case.operation,
)
def test_the_command_for_rows_that_are_missing_measures_that_case(case: Case) -> None:
    _, *words = sweep_command(case).split()
    assert problem(words) is None
    _, command, rest = APP.resolve_command(APP.context_class(APP), words)
    context = command.make_context("sweep", rest)
    given, parameters = context.params, given_parameters(context)
    wanted = given["shape"], given["operation"], parameters, given["dtype"]
    assert chosen_cases(None, None, *wanted).cases == (case,)
