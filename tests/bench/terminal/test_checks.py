"""What `check` prints and writes: what is good, what is bad and why, for each dtype."""

from __future__ import annotations

import io

from rich.console import Console

from unpool_xp.bench.check.run import CheckResult
from unpool_xp.bench.terminal.checks import checks_as_markdown, print_checks

WRONG = "output 0 at (0, 1) is 2.5, should be 3.5"
RESULTS = [
    CheckResult("numpy", "eager", "max_pool", "int8", "passed", warned=("UserWarning: slow",) * 2),
    CheckResult("numpy", "eager", "max_pool", "bool", "skipped", "max_pool needs an order"),
    CheckResult("numpy", "eager", "max_pool", "bfloat16", "skipped", "numpy has no bfloat16"),
    CheckResult("numpy", "eager", "avg_pool", "float32", "passed"),
    CheckResult("numpy", "eager", "avg_pool", "bfloat16", "skipped", "numpy has no bfloat16"),
    *(CheckResult("jax:cpu", "compiled", "max_pool", f"int{n}", "passed") for n in (8, 16, 32)),
    CheckResult("jax:cpu", "compiled", "max_pool", "float16", "failed", WRONG),
    CheckResult("jax:cpu", "compiled", "avg_pool", "float16", "failed", WRONG),
    CheckResult("jax:cpu", "compiled", "avg_pool", "float32", "failed", WRONG),
]


def test_the_table_counts_what_is_good_beside_what_is_bad_and_says_which() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_checks(console, RESULTS)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert lines[:4] == [
        *("operation numpy jax:cpu", "compiled"),
        *("max_pool 1 ok 3 ok, 1 bad", "avg_pool 1 ok 2 bad"),
    ]
    assert f"bad max_pool on jax:cpu compiled (float16): {WRONG}" in lines
    assert f"bad avg_pool on jax:cpu compiled (float16, float32): {WRONG}" in lines
    assert lines.count("not checked: numpy has no bfloat16") == 1
    assert lines.count("warned 2 times: numpy: UserWarning: slow") == 1
    assert not any("needs an order" in line for line in lines)


def test_a_missing_function_is_named_with_all_that_it_blocks() -> None:
    results = [
        CheckResult("mine", "eager", operation, dtype, "failed", "no arange", lacks=("arange",))
        for operation in ("max_pool", "avg_pool")
        for dtype in ("float32", "float64")
    ]
    console = Console(file=io.StringIO(), width=80)
    print_checks(console, results)
    said = "mine has no arange, needed by max_pool, avg_pool"
    assert console.file.getvalue().count(f"{said}\n") == 1  # type: ignore[attr-defined]
    assert checks_as_markdown(results).count(f"- {said}\n") == 1


def test_the_matrix_names_the_dtypes_that_differ() -> None:
    head, rule, maximum, average, *rest = checks_as_markdown(RESULTS).splitlines()
    assert head == "| operation | numpy | jax:cpu compiled |"
    assert rule == "|---|---|---|"
    assert maximum == "| max_pool | ok; no bfloat16 | 3 ok; bad: float16 |"
    assert average == "| avg_pool | ok; no bfloat16 | bad: float16, float32 |"
    assert f"- max_pool on jax:cpu compiled (float16): {WRONG}" in rest
    lacking = CheckResult("mine", "eager", "max_pool", "int8", "skipped", "mine has no int8")
    assert checks_as_markdown([lacking]).splitlines()[2] == "| max_pool | not in the library |"
