"""Operations of files: how they are found, and one line for each mistake."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import special

from tests.support.command import run
from unpool_xp import backends
from unpool_xp.bench import Case, Operation, OperationError, load_operations
from unpool_xp.bench.cases import loading
from unpool_xp.bench.check.run import CheckResult, check_operation
from unpool_xp.cli import common

HEAD = """
import numpy as np
from unpool_xp.bench import Operation, Parameter

def add(x):
    return x + 1

def draw(shape, dtype, parameters, rng):
    return rng.random(shape)

"""
LINE = HEAD.count("\n") + 1


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Begin and end with nothing read, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    forget()
    yield
    monkeypatch.undo()
    forget()


def forget() -> None:
    loading._loaded.cache_clear()
    loading._read.cache_clear()
    common._noted.clear()


def write(name: str, *lines: str) -> str:
    Path(name).write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return name


def described(name: str, **fields: str) -> str:
    """Return a line that describes an operation."""
    given = {"function": "add", "inputs": "draw", "shapes": "[(2, 3)]", **fields}
    more = ", ".join(f"{field}={value}" for field, value in given.items())
    return f"_ = Operation(name={name!r}, {more})"


# --- where they come from ------------------------------------------------------------------------


def test_a_file_a_folder_a_module_and_one_of_several(tmp_path: Path) -> None:
    write(
        "mine_1.py",
        f"one{described('first')}",
        f"MANY = [{described('second').partition(' = ')[2]}]",
    )
    (tmp_path / "more").mkdir()
    write("more/mine_2.py", described("third"))
    write("more/colorsys.py", described("fourth"))  # the name of a module of Python's
    assert [one.name for one in load_operations("mine_1.py:second")] == ["second"]
    assert {one.name for one in load_operations("more")} == {"third", "fourth"}
    assert [one.name for one in load_operations("mine_1")] == ["first", "second"]
    assert Case("third", (2, 3)).definition.title == "mine_2.add"
    assert {"first", "second", "third", "fourth"} < set(loading.operations())
    assert Case("fourth", (2, 3)).definition.title == "colorsys.add"
    assert os.environ[loading.VARIABLE].splitlines()[0] == str(tmp_path / "mine_1.py")
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_a_folder_goes_on_without_what_does_not_load(tmp_path: Path) -> None:
    write("broken.py", "import no_such_module")
    write("good.py", described("good"))
    write("taken.py", described("max_pool"))
    write("twin.py", described("good"))
    assert [one.name for one in load_operations(str(tmp_path))] == ["good"]
    assert sorted(loading.problems()) == [
        f"broken.py, line {LINE}: No module named 'no_such_module'",
        "taken.py: unpool_xp has an operation 'max_pool', too",
        "twin.py: good.py has an operation 'good', too",
    ]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: None, "there is no operation in it"),
    ],
)
def test_a_broken_package_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, found: Callable[[], Any], said: str
) -> None:
    points = loading.entry_points(group="unpool_xp.operations")
    broken = SimpleNamespace(name="theirs", load=found)
    monkeypatch.setattr(loading, "entry_points", lambda group: [broken, *points])
    assert loading.problems() == [f"entry point theirs: {said}"]
    assert "max_pool" in loading.operations()
    shown = run("sweep", "-o", "max_pool", "--shape", "1,1,4,4")  # a kernel is missing
    assert shown.stderr.count(f"left out: entry point theirs: {said}") == 1


# --- mistakes of a file --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:", ", line {line}: invalid syntax"),
        ("import no_such_module", ", line {line}: No module named 'no_such_module'"),
        ("import sys; sys.exit(3)", ", line {line}: it called sys.exit(3)"),
        ("1 / 0", ", line {line}: ZeroDivisionError: division by zero"),
        ("", ": there is no operation in it"),
        (f"{described('a')}; b = Operation(name='a', function=add)", ": two operations are called"),
        (described("max_pool"), ": unpool_xp has an operation 'max_pool', too"),
        (described("a b"), ", line {line}: Operation: name='a b' must be a word"),
        (described("a", function="3"), "function=3 must be callable"),
        (described("a", shapes="(2, 3)"), "shapes=(2, 3) must be tuples of ints >= 1"),
        (described("a", shapes="None"), "shapes=None must be a tuple or a list"),
        (described("a", parameters="{'shape': Parameter(help='')}"), "of words other than"),
        (
            described("a", parameters="{'axis': Parameter(help='', default='x')}"),
            "the default axis='x' must be an int",
        ),
    ],
)
def test_a_file_that_does_not_load_is_named(text: str, said: str) -> None:
    name = write("wrong.py", text)
    with pytest.raises(OperationError) as caught:
        load_operations(name)
    message = str(caught.value)
    assert message.startswith("wrong.py")
    assert said.format(line=LINE) in message
    assert "\n" not in message


def test_what_is_not_there_is_named() -> None:
    write("there.py", described("there"))
    for source, said in (
        ("nowhere.py", "nowhere.py: no such file"),
        ("there.py:not", "there.py:not: no operation 'not'; there are there"),
        ("no.such.module", "no.such.module: No module named 'no'"),
    ):
        with pytest.raises(OperationError, match=said):
            load_operations(source)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--axis x", "--axis 'x' must be int"),
        ("--axis 1,2", "--axis (1, 2) must be an int"),
        ("--kernel 2", "--kernel '2' is not for with_axis, which takes --axis"),
        ("--no-such 1", "No such option: --no-such"),
    ],
)
def test_a_parameter_that_is_none_ends_a_command(arguments: str, said: str) -> None:
    axis = "{'axis': Parameter(help='Along which.', default=0)}"
    write("with_axis.py", described("with_axis", parameters=axis))
    shown = run("choose", "with_axis.py", *arguments.split())
    assert shown.returncode == 2
    assert said in shown.stderr


def test_a_parameter_is_no_option_of_the_command() -> None:
    write("named.py", described("named", parameters="{'json': Parameter(help='', default=0)}"))
    shown = run("choose", "named.py")
    assert shown.returncode == 2
    assert "its parameter 'json' cannot have the name of an option" in shown.stderr


# --- mistakes of an operation --------------------------------------------------------------------


def checked(monkeypatch: pytest.MonkeyPatch, label: str, **fields: Any) -> CheckResult:
    """Check an operation with these fields, on one backend."""
    given = {"function": lambda x: x + 1, "inputs": lambda *given: given[3].random(given[0])}
    operation = Operation(**{"name": "tried", "shapes": [(2, 3)], **given, **fields})
    known = {**loading.operations(), "tried": operation}
    for module in ("cases.case.operations", "check.run.loaded"):
        monkeypatch.setattr(f"unpool_xp.bench.{module}", lambda: known)
    (result,) = check_operation(backends.load(label), "tried", "float32")
    return result


def raising(*given: Any) -> Any:
    raise KeyError("key")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ""),
        ({"inputs": raising}, "tried: inputs raised KeyError: 'key'"),
        ({"inputs": lambda shape: shape}, "tried: inputs raised TypeError: "),
        ({"inputs": lambda *given: [[1.0]]}, "tried: inputs returned list"),
        ({"inputs": lambda *given: ()}, "tried: inputs returned nothing"),
        ({"inputs": lambda *given: given[3].bytes(3)}, "tried: inputs returned bytes"),
        ({"reference": raising}, "tried: the reference raised KeyError: 'key'"),
        ({"reference": lambda x: None}, "tried: the reference returned NoneType"),
        ({"reference": lambda x: (x, x)}, "the reference returned 2 arrays; outputs=('y',)"),
        ({"function": lambda x: [x]}, "tried: the function on NumPy returned list"),
        ({"function": lambda x, y: x}, "the function on NumPy raised TypeError: "),
        ({"tolerance": raising}, "tried: tolerance raised KeyError: 'key'"),
        ({"flops": raising}, "tried: flops raised KeyError: 'key'"),
        ({"bytes_moved": raising}, "tried: bytes_moved raised KeyError: 'key'"),
    ],
)
def test_an_operation_that_is_wrong_itself_says_where(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], said: str
) -> None:
    result = checked(monkeypatch, "numpy", **fields)
    assert result.outcome == ("failed" if said else "passed")
    assert said in result.detail
    assert bool(said) == result.detail.startswith("wrong Operation: ")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reference": lambda x: x[0]}, "y has shape (2, 3), should be (3,), that of the refer"),
        ({"reference": lambda x: x}, "wrong result: y[0, 0] is 1.63696, should be 0.636962; 6 of"),
        ({"function": lambda x: [x], "reference": lambda x: x}, "returned a list of Tensor, not"),
        ({"function": lambda x: None, "reference": lambda x: x}, "returned NoneType, not an arr"),
        ({"function": lambda x: x + hasattr(x, "detach")}, "wrong result: y[0, 0] is 1.63696"),
    ],
)
def test_a_wrong_result_says_where(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], said: str
) -> None:
    result = checked(monkeypatch, "torch:cpu", **fields)
    assert result.outcome == "failed"
    assert result.detail.startswith("tried 2x3: ")
    assert said in result.detail


def test_what_does_not_fit_into_memory_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    result = checked(monkeypatch, "numpy", shapes=[(10**6, 10**6)])
    assert (result.outcome, "GB are available" in result.detail) == ("skipped", True)


def test_the_command_says_each_once_and_ends_with_what_it_means() -> None:
    write("good.py", "print('hello')", described("good"))
    write("wrong.py", described("wrong", inputs="lambda *given: None"))
    write("broken.py", "import no_such_module")
    shown = run("check", "-o", ".", "-b", "numpy")
    assert shown.returncode == 2  # nothing differs
    assert "hello" not in shown.stdout
    assert shown.stderr.count("left out: broken.py, line") == 1
    lines = [line for line in shown.stdout.splitlines() if line.startswith("bad ")]
    assert len(lines) == 1
    assert lines[0].startswith("bad wrong on numpy (float16, bfloat16, float32, float64): wrong")
    assert "good" in shown.stdout


@pytest.mark.parametrize(
    ("function", "module"),
    [(special.logsumexp, "scipy.special"), (np.cov, "numpy"), (forget, __name__)],
)
def test_code_imports_a_function_from_as_far_up_as_it_is(
    function: Callable[..., Any], module: str
) -> None:
    assert Operation(name="mine", function=function).module == module
