"""The gate finds an injected slowdown, is quiet where there is none, and always ends."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest

from tests.support.command import run
from tests.support.injected_regression import (
    commit_change,
    git,
    inject_slowdown,
    scratch_repository,
)
from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.catalog.panel import panel_case
from unpool_xp.bench.gate import build as gate_build
from unpool_xp.bench.gate import run as gate_run
from unpool_xp.bench.gate import trio
from unpool_xp.bench.gate.build import Build, GateError, build, find_source
from unpool_xp.bench.gate.case import GateMeasurement
from unpool_xp.bench.gate.run import GateResult, resolve_backend_modes, run_gate
from unpool_xp.bench.gate.statistics import (
    SIDES,
    PassSamples,
    estimate_change,
    looks_changed,
    round_orders,
    typical_spread,
)
from unpool_xp.bench.measure.host.load import LoadWatch
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.provenance import GitError, why_no_commit
from unpool_xp.bench.terminal import gate
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.compare import compare

NUMPY = [BackendMode("numpy")]
SMALL = {name: panel_case(name, "small", 2) for name in ("avg_pool", "max_unpool")}
Builder = Callable[[str | None], Build]


def copy_install(tree: Path, python: Path) -> None:
    """What pip would do, without its seconds and its need of a network."""
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    shutil.copytree(tree / "unpool_xp", site / "unpool_xp")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate") / "repository"
    scratch_repository(folder)
    git(folder, "branch", "base")
    return folder


@pytest.fixture(scope="module")
def built(repository: Path) -> Builder:
    cache = repository.parent / "environments"
    return lambda ref: build(find_source(repository, ref), cache, copy_install)


# --- the judge -----------------------------------------------------------------------------------


def drawn(
    generator: np.random.Generator, slower: float, passes: int, *, process: float, jitter: float
) -> list[PassSamples]:
    """Draw passes in which each process has its own speed, and samples are only ever late."""
    found = []
    for _ in range(passes):
        speeds = np.exp(process * generator.standard_normal(3)) * [1, 1, slower]
        late = np.exp(jitter * np.abs(generator.standard_normal((3, 8))))
        found.append(PassSamples(*(speeds[:, None] * late).tolist()))
    return found


@pytest.mark.parametrize("process", [0.01, 0.05])
def test_the_same_code_is_hardly_ever_called_slower(process: float) -> None:
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        first, again = (drawn(generator, 1, 3, process=process, jitter=0.03) for _ in range(2))
        if looks_changed(estimate_change(first, 0.05), 0.05):
            alarms += estimate_change(again, 0.05).verdict is Verdict.SLOWER
    assert alarms <= 1


@pytest.mark.parametrize("slower", [1.2, 1 / 1.2])
def test_a_fifth_is_found_where_processes_differ_by_a_hundredth(slower: float) -> None:
    generator = np.random.default_rng(1)
    verdicts = [
        estimate_change(drawn(generator, slower, 3, process=0.01, jitter=0.02), 0.05)
        for _ in range(50)
    ]
    wanted = Verdict.SLOWER if slower > 1 else Verdict.FASTER
    assert sum(found.verdict is wanted for found in verdicts) >= 48
    assert all(looks_changed(found, 0.05) for found in verdicts)
    assert all(found.ratio.low <= found.ratio.estimate <= found.ratio.high for found in verdicts)


def steady(*heads: float, controls: tuple[float, ...] = (1.0,)) -> list[PassSamples]:
    """Return a pass for each head, whose samples are all alike; the base takes 1 s."""
    pairs = zip(heads, itertools.cycle(controls), strict=False)
    return [PassSamples([1.0] * 5, [control] * 5, [head] * 5) for head, control in pairs]


def test_a_change_within_what_base_differs_from_itself_is_undecided() -> None:
    controls = (1.1, 0.9, 1.2)
    heads = [1.15 * (1 + control) / 2 for control in controls]
    found = estimate_change(steady(*heads, controls=controls), 0.05)
    assert found.ratio.low > 1.05
    assert found.noise > 0.1
    assert found.verdict is Verdict.UNDECIDED


def test_one_process_that_was_slow_is_no_slowdown() -> None:
    found = estimate_change(steady(1.0, 2.0, 1.0), 0.05)
    assert found.ratio.low < 1 < found.ratio.high
    assert found.verdict is Verdict.UNDECIDED
    assert not looks_changed(found, 0.05)
    assert estimate_change(steady(1.0), 0.05).verdict is Verdict.SAME


def test_a_case_of_few_passes_is_as_uncertain_as_the_others_on_its_backend() -> None:
    generator = np.random.default_rng(2)
    cases = [drawn(generator, 1, 3, process=0.05, jitter=0.02) for _ in range(20)]
    spread = typical_spread(cases)
    assert spread == pytest.approx(0.05 * 1.5**0.5, rel=0.25)
    lucky = steady(1.0, 1.01, 1.0)
    alone, among = (estimate_change(lucky, 0.05, known) for known in (None, 2 * spread))
    assert alone.verdict is Verdict.SAME
    assert among.verdict is Verdict.UNDECIDED  # base is not known to be within 10 % of itself
    assert estimate_change(lucky * 4, 0.05, 2 * spread).verdict is Verdict.SAME
    assert typical_spread([]) == 0


def test_a_ratio_that_may_as_well_be_one_is_no_suspect() -> None:
    found = estimate_change(steady(0.9, 1.2, 1.15), 0.05, spread=0.1)
    assert found.ratio.estimate > 1.05
    assert not looks_changed(found, 0.05)
    clear = estimate_change(steady(1.2, 1.15), 0.05)
    assert looks_changed(clear, 0.05)
    assert not looks_changed(clear, 0.3)


def test_no_side_follows_itself_and_none_has_a_place_of_its_own() -> None:
    taken = round_orders(300, "seed")
    flat = [side for order in taken for side in order]
    assert all(a != b for a, b in itertools.pairwise(flat))
    for place in range(3):
        for side in SIDES:
            assert 60 <= sum(order[place] == side for order in taken) <= 140
    assert taken == round_orders(300, "seed") != round_orders(300, "another")


# --- the builds ----------------------------------------------------------------------------------


def test_a_version_is_built_once_and_a_changed_tree_again(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "--quiet", "base")
    count = 0

    def install(tree: Path, python: Path) -> None:
        nonlocal count
        count += 1
        copy_install(tree, python)

    def built_now() -> Build:
        return build(find_source(repository, None), tmp_path, install)

    clean = built_now()
    assert built_now() == clean
    assert count == 1
    try:
        (repository / "unpool_xp" / "new.py").write_text("x = 1\n")
        dirty = built_now()
        assert dirty.commit == f"{clean.commit}+dirty"
        assert dirty.folder != clean.folder
        assert list(dirty.folder.rglob("new.py"))
        assert len(str(dirty.folder)) == len(str(clean.folder))
        (repository / "unpool_xp" / "new.py").write_text("x = 2\n")
        assert built_now().folder not in (clean.folder, dirty.folder)
        assert count == 3
    finally:
        (repository / "unpool_xp" / "new.py").unlink()
    assert len(list(tmp_path.iterdir())) == 3  # nothing that was needed on the way


def test_what_cannot_be_built_is_said(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"there is no commit 'nowhere' in .*git log"):
        find_source(repository, "nowhere")
    with pytest.raises(GateError, match=r"there is no commit '--help'"):
        find_source(repository, "--help")
    with pytest.raises(GitError, match="is in no git repository"):
        find_source(tmp_path, "HEAD")
    shallow = tmp_path / "shallow"
    commit_change(repository, "# one more\n", "base", "deep")
    address = f"file://{repository}"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", "--branch=deep", address, shallow], check=True
    )
    with pytest.raises(GateError, match=r"this clone is shallow: .*--unshallow"):
        find_source(shallow, "HEAD~1")
    broken = commit_change(repository, "", "base", "broken", {"pyproject.toml": "[project\n"})
    with pytest.raises(
        GateError, match=r"cannot be installed: the last lines of pip:\n(.*\n)*.*[Tt][Oo][Mm][Ll]"
    ):
        build(find_source(repository, broken), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_git_that_refuses_is_quoted(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As for a folder of somebody else: no other user is needed.
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    real = shutil.which("git")
    wrapper.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)
    with pytest.raises(GitError, match=r"dubious ownership in .* git config .*safe\.directory"):
        find_source(repository, "HEAD")
    assert "safe.directory" in str(why_no_commit())
    variables = {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}
    for name, value in variables.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert find_source(repository, "HEAD").repository == repository.resolve()
    assert why_no_commit() is None
    with pytest.raises(GitError, match=r"git refuses .*must be run in a work tree"):
        find_source(repository / ".git", "HEAD")


def test_other_dependencies_are_told(repository: Path) -> None:
    text = git(repository, "show", "base:pyproject.toml").replace("numpy>=1.26", "numpy>=2.0")
    head = commit_change(repository, "", "base", "dependencies", {"pyproject.toml": text})
    sources = [find_source(repository, ref) for ref in ("base", head)]
    (note,) = gate_build.dependency_notes(*sources)
    assert "numpy>=1.26, numpy>=2.0" in note
    assert gate_build.dependency_notes(sources[0], sources[0]) == []


def test_a_package_from_elsewhere_is_never_timed(built: Builder, tmp_path: Path) -> None:
    good = built("base")
    leaky = Build("leaky", good.commit, good.python, tmp_path)
    with trio.BuildTrio(good, leaky, *NUMPY, timeout_s=60, scratch=tmp_path) as sides:
        facts = sides.facts
    assert facts["base"]["error"] is facts["control"]["error"] is None
    assert facts["head"]["error"] == "this version installs no package"


# --- the budget ----------------------------------------------------------------------------------


class DrawnTrio:
    """In the place of a process: a pass takes a hundredth of a second, and its times are drawn."""

    generator = np.random.default_rng(0)
    spreads: ClassVar[dict[str, float]] = {}  # of each operation's passes
    slower: ClassVar[dict[str, float]] = {}
    facts: ClassVar[dict[str, Any]] = {}

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> DrawnTrio:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run_pass(
        self, one: GateMeasurement, passes: list[PassSamples], seconds: float, *, seed: str
    ) -> None:
        time.sleep(0.01)
        name = one.gate_case.case.operation
        spread, slower = self.spreads.get(name, 0.002), self.slower.get(name, 1.0)
        passes += drawn(self.generator, slower, 1, process=spread, jitter=0.001)
        one.prepare_s = 0.01


def measure_drawn(out: Path, monkeypatch: pytest.MonkeyPatch, **known: Any) -> GateResult:
    for name, value in known.items():
        monkeypatch.setattr(DrawnTrio, name, value)
    monkeypatch.setattr(gate_run, "BuildTrio", DrawnTrio)
    nothing = Build("nothing", "0" * 40, out, out)
    cases = [panel_case(name, "small", 2) for name in ("max_pool", "avg_pool", "max_unpool")]
    return run_gate(nothing, nothing, cases, NUMPY, out=out, budget_s=1.0)


def test_the_budget_goes_to_what_is_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measure_drawn(tmp_path, monkeypatch, spreads={"max_pool": 0.5})
    passes = {one.gate_case.case.operation: len(one.first_passes) for one in found.measured}
    again = sum(len(one.retest_passes) for one in found.measured)
    assert passes["avg_pool"] + passes["max_unpool"] <= 8
    assert passes["max_pool"] + again > 10
    assert 0.8 < found.seconds < 2
    assert by_operation(found)["max_pool"].outcome == "undecided"
    assert found.exit_code == 0  # two of three are the same


def test_what_is_decided_ends_before_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measure_drawn(tmp_path, monkeypatch, slower={"avg_pool": 1.2})
    assert found.seconds < 0.6
    assert by_operation(found)["avg_pool"].outcome == "slower"
    assert "measured again in 3 passes" in by_operation(found)["avg_pool"].note
    assert found.comparison.counts["same"] == 2


def test_where_most_is_undecided_the_answer_is_that_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = dict.fromkeys(("max_pool", "avg_pool"), 0.5)
    assert measure_drawn(tmp_path, monkeypatch, spreads=noisy).exit_code == 2


# --- verdicts ------------------------------------------------------------------------------------


def test_a_commit_beside_itself_raises_no_alarm(
    repository: Path, built: Builder, tmp_path: Path
) -> None:
    head = built(commit_change(repository, "# nothing\n", "base", "same"))
    found = run_gate(built("base"), head, list(SMALL.values()), NUMPY, out=tmp_path, budget_s=5)
    assert found.exit_code in (0, 2)  # where the machine is too noisy to tell
    assert not {"slower", "broken"} & {entry.outcome for entry in found.comparison.entries}


def test_what_other_programs_disturbed_decides_nothing(
    repository: Path, built: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoadWatch, "is_disturbed", lambda watch: True)
    head = built(inject_slowdown(repository, "avg_pool", 3.0, "base"))
    found = run_gate(built("base"), head, [SMALL["avg_pool"]], NUMPY, out=tmp_path, budget_s=1)
    (entry,) = found.comparison.entries
    assert (entry.outcome, found.exit_code) == ("undecided", 2)
    assert "other programs were at work" in entry.note
    assert entry.head is not None
    assert set(entry.head.disturbed or ()) == {True}


FAULTS = """
def max_unpool(values, indices, kernel_size=None, **options):
    from unpool_xp.lazy import wrong

    return wrong(values)


def avg_pool(x, kernel_size, **options):
    import os
    import sys

    print("last words", file=sys.stderr, flush=True)
    os._exit(7)


def linear_unpool(x, scale_factor=None, **options):
    import time

    time.sleep(3600)
"""


def test_what_goes_wrong_is_a_reason_and_the_rest_is_measured(
    repository: Path, built: Builder, tmp_path: Path
) -> None:
    lacking = '_NAMES["resizing"] = ("linear_unpool",)\n'
    base = built(commit_change(repository, lacking, "base", "lacking"))
    # A module that base lacks: each copy of the package imports its own, late too.
    lazy = {"unpool_xp/lazy.py": "def wrong(values):\n    return values\n"}
    head = built(commit_change(repository, FAULTS, "base", "faults", lazy))
    names = ("avg_pool", "max_unpool", "linear_unpool", "nearest_unpool", "max_pool")
    cases = [panel_case(name, "small", 2) for name in names]
    found = run_gate(
        base, head, cases, [*NUMPY, BackendMode("dask")], out=tmp_path, timeout_s=3, budget_s=1
    )
    for label in ("numpy", "dask"):
        entries = by_operation(found, label)
        assert entries["max_unpool"].outcome == "broken"
        assert "no time in head: wrong result: " in entries["max_unpool"].note
        assert entries["avg_pool"].outcome == "broken"
        assert "exit code 7: last words" in entries["avg_pool"].note
        assert entries["linear_unpool"].outcome == "broken"
        assert "timed out" in entries["linear_unpool"].note
        assert entries["nearest_unpool"].outcome == "mended"
        assert "no unpool_xp.nearest_unpool" in entries["nearest_unpool"].note
        assert entries["max_pool"].ratio is not None
    assert found.exit_code == 1
    assert any("a single pass fitted into" in note for note in found.comparison.notes)
    told = gate.gate_as_json(found)
    assert told["counts"]["broken"] == 6
    assert {(e["passes"], e["again"]) for e in told["entries"] if e["ratio"]} >= {(1, 0)}
    json.dumps(told, allow_nan=False)
    assert not running_sides()


def test_nothing_measured_is_not_nothing_slower(
    repository: Path, built: Builder, tmp_path: Path
) -> None:
    # A package from before there were backends.
    head = built(
        commit_change(
            repository, "", "base", "old", {"unpool_xp/backends/registry.py": "raise ImportError"}
        )
    )
    found = run_gate(head, head, [SMALL["avg_pool"]], NUMPY, out=tmp_path, budget_s=5)
    assert found.exit_code == 2
    (entry,) = found.comparison.entries
    assert entry.outcome == "failed"
    assert "this version has no unpool_xp.backends" in entry.note


def by_operation(found: GateResult, label: str = "numpy") -> dict[str, Any]:
    return {e.name.partition("-")[0]: e for e in found.comparison.entries if e.row.backend == label}


# --- the command ---------------------------------------------------------------------------------


def test_the_command_finds_a_slowdown_and_nothing_else(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = inject_slowdown(repository, "max_unpool", 4.0, "base")
    monkeypatch.chdir(repository)
    # Where other tests run beside this one, nothing would be decided.
    monkeypatch.setattr(LoadWatch, "is_disturbed", lambda watch: False)
    arguments = ["base", "--head", head, "-b", "numpy", "-o", "max_unpool", "-o", "avg_pool"]
    summary = tmp_path / "gate.md"
    options = ["--size", "small", "--folder", str(tmp_path), "--markdown", str(summary)]
    done = run("gate", *arguments, *options, "--budget", "1")
    assert done.returncode == 1, done.stderr
    assert "slower (2)" in done.stdout
    assert "base against base, numpy" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80 or "rows in" in done.stdout
    assert "slower: 2 slower" in summary.read_text()

    # What was measured is there for the other commands, and they agree.
    (kept,) = (tmp_path / "runs").iterdir()
    base_rows, head_rows = (read_rows([kept / f"{side}.jsonl"]) for side in ("base", "head"))
    assert not base_rows.problems + head_rows.problems
    assert {row.commit for row in head_rows.rows} == {head}
    assert all(row.checked and row.check_scope == "all" for row in base_rows.rows)
    assert all(row.calls_per_sample for row in base_rows.rows)
    entries = compare(base_rows.rows, head_rows.rows).entries
    planted = [entry for entry in entries if entry.name.startswith("max_unpool-")]
    # Intervals over few processes are wide.
    assert {entry.outcome for entry in planted} <= {"slower", "undecided"}
    # More than 2, where other programs want the cores too.
    assert all(entry.ratio is not None and entry.ratio.estimate > 1.5 for entry in planted)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no commit 'nowhere'"),
        (["base", "-b", "cupy:cuda"], "cupy"),
        (["base", "-b", "numpy/fast"], "unknown mode 'fast'"),
        (["base", "-b", "numpty"], "unknown backend 'numpty'"),
        (["base", "-o", "pool"], "unknown operation pool"),
        (["base", "--size", "huge"], "unknown size 'huge'; known: small, large"),
    ],
)
def test_what_the_command_cannot_do_is_said(
    arguments: list[str], said: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    done = run("gate", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_backends_have_modes() -> None:
    names = ["numpy", "jax", "torch", "torch:cpu/compiled", "jax:cpu/eager", "numpy"]
    assert [*map(str, resolve_backend_modes(names))] == [
        *("numpy", "jax:cpu compiled", "torch:cpu", "torch:cpu compiled", "jax:cpu"),
    ]


HANG = """
from unpool_xp.pooling import avg_pool as _right

def avg_pool(x, kernel_size, **options):
    import os
    import time

    with open(f"{__file__}.process", "a+") as file:
        file.seek(0)
        first = file.read() or str(os.getpid())
        file.truncate(0)
        file.write(first)
    if int(first) == os.getpid():
        return _right(x, kernel_size, **options)
    open(f"{__file__}.{os.getpid()}.hangs", "w").close()
    time.sleep(3600)
"""


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_an_interrupt_leaves_no_process_behind(
    repository: Path, built: Builder, tmp_path: Path
) -> None:
    one = built(commit_change(repository, HANG, "base", "hang"))
    end = time.monotonic() + 60

    def interrupt() -> None:
        # In the call that does not end.
        while not list(one.folder.rglob("*.hangs")) and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    known: list[GateResult] = []
    with pytest.raises(KeyboardInterrupt):
        run_gate(one, one, [SMALL["avg_pool"]], NUMPY, out=tmp_path, stopped=known.append)
    assert time.monotonic() < end
    assert not running_sides()
    # The first pass, in one process, came to its end.
    (gate,) = known
    assert "stopped: the verdicts are of 0 of 1 cases" in gate.comparison.notes
    assert len(gate.measured[0].first_passes) == 1
    assert gate.exit_code == 2


def running_sides() -> list[psutil.Process]:
    """Return the processes of the gate that run."""
    children = psutil.Process().children(recursive=True)
    return [process for process in children if "gate/side.py" in " ".join(process.cmdline())]
