"""The plug-in of pytest, in suites of others: one test for each library, checked by ours."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from unpool_xp import backends

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parents[1] / "docs"
FILES = ("benchmarks/my_ops.py", "benchmarks/bench_ops.py", "tests/test_ops.py")

SUITE = """
from unpool_xp.bench import Operation, assert_matches_reference

def doubled(x):
    return {body}

DOUBLED = Operation(name="doubled", function=doubled, reference=lambda x: x + x, {more})

def test_doubled(xp_backend):
    assert_matches_reference(DOUBLED, xp_backend)
"""
SHAPES = "shapes=[(2, 3, 8, 8)]"
WRONG_ON_TORCH = '2 * x if "torch" not in type(x).__module__ else 2 * x + 1'


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import every library first: `pytester` forgets later ones, and MLX aborts the second time."""
    backends.available()


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run pytest on a file, with no plug-in but ours."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest("-p", "unpool_xp.pytest_plugin", "-rsf", *options)

    return run


def test_each_library_here_is_a_test_and_what_is_missing_has_a_reason(run) -> None:
    here = backends.available()
    ran = run(SUITE.format(body="2 * x", more=SHAPES))
    ran.assert_outcomes(passed=len(here), skipped=len(backends.known()) - len(here))
    if "cupy:cuda" not in here:
        ran.stdout.fnmatch_lines("SKIPPED*cupy:cuda: *")


def test_a_result_that_is_wrong_on_one_library_fails_there_with_a_clear_line(run) -> None:
    chosen = ("--xp-backend", "numpy", "--xp-backend", "torch", "--xp-backend=array_api_strict")
    ran = run(SUITE.format(body=WRONG_ON_TORCH, more=SHAPES), *chosen)
    ran.assert_outcomes(passed=2, failed=1)
    ran.stdout.fnmatch_lines(
        "*AssertionError: *.doubled on torch:cpu, doubled-2x3x8x8-float32: y?0, 0, 0, 0? is *, "
        "should be *; 384 of 384 elements looked at differ, by up to 1*"
    )
    assert "session.py" not in str(ran.stdout)  # what fails is theirs


def test_an_exception_of_the_function_is_shown_where_it_is_raised(run) -> None:
    ran = run(SUITE.format(body="x.no_such", more=SHAPES), "--xp-backend=numpy")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*return x.no_such", "E *no attribute 'no_such'", "E *on numpy, *"])


@pytest.mark.parametrize(
    ("more", "backend", "outcome", "said"),
    [
        (f"{SHAPES}, lazy=False", "dask", "skipped", "doubled does not run on lazy arrays"),
        ("", "numpy", "failed", "operation=doubled has no shapes; give it some, or a Case"),
        (
            f"{SHAPES}, inputs=lambda *a: 1",
            "numpy",
            "failed",
            "doubled: inputs returned int; it must return",
        ),
    ],
)
def test_what_cannot_be_checked_says_why(
    run, more: str, backend: str, outcome: str, said: str
) -> None:
    ran = run(SUITE.format(body="2 * x", more=more), "--xp-backend", backend)
    ran.assert_outcomes(**{outcome: 1})
    ran.stdout.fnmatch_lines(f"*{said}*")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("nmpy", "--xp-backend nmpy: unknown backend 'nmpy'; known: numpy*"),
        ("fake:missing", "--xp-backend fake:missing: *pip install the missing part*"),
    ],
)
@pytest.mark.usefixtures("fake_backends")
def test_a_library_that_is_named_and_missing_ends_the_run(run, label: str, said: str) -> None:
    ran = run("def test(xp_backend): pass", "--xp-backend", label)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(f"*{said}")


def test_a_test_may_name_its_libraries_itself(run) -> None:
    marked = """
        import pytest
        @pytest.mark.parametrize(("n", "xp_backend"), [(1, "numpy")], indirect=["xp_backend"])
        def test(n, xp_backend): assert xp_backend.label == "numpy"
    """
    run(marked).assert_outcomes(passed=1)


PACKAGE = """
import numpy as np
def smooth(x): return (x[..., 1:] + x[..., :-1]) / 2
def smooth_slowly(x): return np.asarray([[sum(two) / 2 for two in zip(r, r[1:])] for r in x])
"""


def test_the_suites_of_the_pages_run(run, pytester: pytest.Pytester) -> None:
    pages = "".join((DOCS / name).read_text() for name in ("asv.rst", "pytest_benchmark.rst"))
    blocks = re.findall(r":caption: (\w+/\w+\.py)\n((?:\n|   .*\n)+)", pages)
    assert [name for name, _ in blocks] == [*FILES]
    (pytester.path / "my_package.py").write_text(PACKAGE)
    for name, block in blocks:
        path = pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(block).replace("100_000", "1000"))
    options = ("-p", "pytest_benchmark.plugin", "--benchmark-max-time=0.01")
    plugin = ("-p", "unpool_xp.pytest_plugin", "--xp-backend=numpy")
    command = (sys.executable, "-m", "pytest", *plugin, *options, FILES[-1])
    ran = pytester.run(*command)
    ran.assert_outcomes(passed=2)
    code = "import bench_ops; print(bench_ops.Time.params[0], bench_ops.PeakMemory.params[0])"
    ran = pytester.run(sys.executable, "-c", f"import sys; sys.path[:0] = ['benchmarks']; {code}")
    cases = "('smooth-8x100-float32', 'smooth-64x1000-float32')"
    ran.stdout.fnmatch_lines(f"{cases} {cases}")


def test_whoever_does_not_use_it_waits_for_nothing() -> None:
    code = "import unpool_xp.pytest_plugin, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_it_is_installed_with_the_package() -> None:
    installed = {point.value for point in entry_points(group="pytest11")}
    if not any(value.startswith("unpool_xp") for value in installed):
        pytest.skip("the package was installed before it had a plug-in")
    assert "unpool_xp.pytest_plugin" in installed
