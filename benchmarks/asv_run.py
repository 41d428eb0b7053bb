"""``make asv``: the panel by asv, a part at a time, so that whatever is done is kept.

asv writes its results once, at the end of a run, over the file of the run before: killed, it leaves
nothing of the run; on a full disk it leaves half a file. So each part here is a run of its own on a
copy of the results, and what it brings replaces the results' files whole.

Usage: ``python benchmarks/asv_run.py [--results FOLDER] [arguments of asv run]``
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asv.config import Config
from asv.machine import MachineCollection

from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.gate.build import GateError, Source, find_source
from unpool_xp.bench.measure.machine import Machine, this_machine
from unpool_xp.bench.rows.provenance import GitError

ROOT = Path(__file__).resolve().parents[1]
_WORK = ROOT / ".asv"
_ROOM = 64 * 2**20
_SKIPPED = re.compile(r"asv: skipped: NotImplementedError\((['\"])(.*)\1\)")
_BLOCK = "For parameters: "
_FORBIDDEN_OPTIONS = {
    "--config": "it is the one of this checkout",
    "--machine": "it is the harness's own name of this machine",
    "--dry-run": "it saves nothing; run asv itself",
    "--skip-existing": "asv takes a benchmark that is there in part for one that is there",
}


class RunStoppedError(Exception):
    """The run cannot go on; the message says why."""


@dataclass
class Tally:
    """How many cells were measured, skipped and failed, and why."""

    measured: int = 0
    skipped: int = 0
    failed: int = 0
    reasons: set[str] = field(default_factory=set)

    def add(self, other: Tally) -> None:
        """Count in another part's."""
        self.measured += other.measured
        self.skipped += other.skipped
        self.failed += other.failed
        self.reasons |= other.reasons

    def __str__(self) -> str:
        return f"{self.measured} measured, {self.skipped} skipped, {self.failed} failed"


def main(argv: Sequence[str]) -> int:
    """Run the parts; return 0, 1 where it stopped or nothing was measured, 2 where some failed."""
    parser = argparse.ArgumentParser(prog="asv_run", allow_abbrev=False, description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "asv")
    options, given = parser.parse_known_args(argv)
    total, start = Tally(), time.monotonic()
    try:
        given = _validate_arguments(given or ["HEAD"])
        machine = this_machine()
        MachineCollection.save(machine.id, facts(machine))
        parts = parts_of(given)
        for number, (name, more) in enumerate(parts, 1):
            begun = time.monotonic()
            tally = run_part(options.results.resolve(), machine.id, [*more, *given])
            total.add(tally)
            seconds = time.monotonic() - begun
            print(f"[{number}/{len(parts)}] {name}: {tally}; kept; {seconds:.0f} s", flush=True)
    except RunStoppedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        print(f"what was measured before is in {options.results}", file=sys.stderr)
        return 1
    for reason in sorted(total.reasons):
        print(f"skipped: {reason}")
    print(f"{total}; {time.monotonic() - start:.0f} s; asv's own words are in {_WORK / 'asv.log'}")
    if not total.measured:
        print("no cell was measured", file=sys.stderr)
        return 1
    return 2 if total.failed else 0


def _validate_arguments(given: list[str]) -> list[str]:
    for argument, reason in itertools.product(given, _FORBIDDEN_OPTIONS):
        if argument.partition("=")[0].startswith(reason):
            raise RunStoppedError(f"{argument} is not for here: {_FORBIDDEN_OPTIONS[reason]}")
    same = any(word.startswith(("--python", "-E", "--environment")) for word in given)
    if same and not any(word.startswith("--set-commit-hash") for word in given):
        raise RunStoppedError("--python saves nothing without --set-commit-hash")
    return file_as_its_own(given)


def file_as_its_own(given: list[str]) -> list[str]:
    """Return the arguments with the commit of the code that an existing environment has.

    asv files its times under any commit that it is given. Code from elsewhere, or of another
    commit, is refused; uncommitted changes get a commit of their own, which is on no branch.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--python")
    parser.add_argument("-E", "--environment", default="")
    parser.add_argument("--set-commit-hash")
    options = parser.parse_known_args(given)[0]
    kind, _, python = options.environment.partition(":")
    if options.python == "same":
        kind, python = "existing", "same"
    if kind != "existing":
        return given
    imported = _imported_package(sys.executable if python in ("", "same") else python)
    if imported != ROOT / "unpool_xp":
        raise RunStoppedError(
            f"that python imports unpool_xp from {imported}, not from {ROOT}; install it with "
            "pip install --editable, or its times are filed under a commit it is not of"
        )
    try:
        code = find_source(ROOT, None)
        wanted = find_source(ROOT, options.set_commit_hash).commit
    except (GateError, GitError) as error:
        raise RunStoppedError(str(error)) from error
    commit, _, dirty = code.commit.partition("+")
    if commit != wanted:
        raise RunStoppedError(
            f"--set-commit-hash {options.set_commit_hash} is {wanted[:10]}, and the code that runs "
            f"is of {commit[:10]}"
        )
    if not dirty:
        return given
    snapshot = _commit_tree(code)
    print(f"uncommitted changes: filed under {snapshot[:10]}, a commit on no branch", flush=True)
    return [*given, f"--set-commit-hash={snapshot}"]  # the last one counts


def _imported_package(python: str) -> Path:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if "ASV_PYTHONPATH" in environment:  # as asv does
        environment["PYTHONPATH"] = environment.pop("ASV_PYTHONPATH")
    command = [python, "-c", "import unpool_xp; print(unpool_xp.__path__[0])"]
    try:
        done = subprocess.run(
            command, env=environment, cwd=tempfile.gettempdir(), capture_output=True, text=True
        )
    except OSError as error:
        raise RunStoppedError(f"{python} does not start: {error.strerror}") from error
    if done.returncode:
        raise RunStoppedError(f"{python} cannot import unpool_xp: {done.stderr.strip()[-300:]}")
    return Path(done.stdout.strip()).resolve()


def _commit_tree(code: Source) -> str:
    """Make a commit of the files of the working tree; the same one for the same files."""
    parent = code.commit.partition("+")[0]
    git = ["git", "-C", str(ROOT)]
    show = [*git, "show", "--no-patch", "--format=%cI", parent]
    date = subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()
    who = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in {"NAME": "asv_run", "EMAIL": "", "DATE": date}.items()
    }
    commit = [*git, "commit-tree", code.tree, "-p", parent, "-m", "Uncommitted changes"]
    done = subprocess.run(
        commit, check=True, capture_output=True, text=True, env={**os.environ, **who}
    )
    return done.stdout.strip()


def facts(machine: Machine) -> dict[str, str]:
    """Return what asv is to know of a machine: nothing that an update of its system changes."""
    return {
        "machine": machine.id,
        "os": machine.os.partition(" ")[0],
        "arch": machine.architecture,
        "cpu": machine.cpu,
        "num_cpu": str(machine.logical_cores),
        "ram": f"{machine.memory_bytes / 2**30:.0f} GiB",
    }


def parts_of(given: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return the parts' names and arguments; one part where benchmarks were chosen."""
    if _patterns(given):
        return [("the chosen", [])]
    modules = sorted(path.stem for path in (ROOT / "benchmarks" / "panel").glob("[!_]*.py"))
    timed = [
        (f"times of {name}", ["-b", rf"^operations\..*\('{name}'"]) for name in SINGLE_OPERATIONS
    ]
    others = [(name, ["-b", rf"^{name}\."]) for name in modules if name != "operations"]
    return timed + others


def run_part(results: Path, machine: str, arguments: list[str]) -> Tally:
    """Run asv on a copy of the results, bring back what it wrote, and count it."""
    _require_disk_space(results, _WORK, Path(tempfile.gettempdir()))
    try:
        with tempfile.TemporaryDirectory(prefix="unpool_xp-asv-") as folder:
            stage, start = Path(folder) / "results", time.time()
            if results.is_dir():
                shutil.copytree(results, stage)
            output = _asv(stage, machine, arguments)
            tally = count(stage, start * 1000, _patterns(arguments))
            _publish(stage, results)
    except OSError as error:
        why = error.strerror or " ".join(str(error).split())
        raise RunStoppedError(f"cannot write {error.filename or results}: {why}") from error
    except ValueError as error:
        raise RunStoppedError(f"asv left half a file: {error}") from error
    tally.reasons = {match[2] for match in _SKIPPED.finditer(output)}
    for failure in dict.fromkeys(_failures(output)):  # asv says it twice
        print(failure, file=sys.stderr)
    return tally


def _require_disk_space(*folders: Path) -> None:
    for folder in folders:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < _ROOM:
            raise RunStoppedError(
                f"the disk of {folder} is full: {free / 2**20:.0f} MiB are free, and a part needs "
                f"up to {_ROOM / 2**20:.0f}"
            )


def _asv(stage: Path, machine: str, arguments: list[str]) -> str:
    """Run asv; return what it said."""
    path = stage.parent / "asv.conf.json"
    path.write_text(json.dumps(configuration(stage)), encoding="utf-8")
    command = [sys.executable, "-m", "asv", "run", "--config", str(path)]
    command += ["--machine", machine, "--record-samples", "--show-stderr", *arguments]
    pinned = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    finished = subprocess.run(
        command,
        env={**pinned, **os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    _WORK.mkdir(exist_ok=True)
    with (_WORK / "asv.log").open("a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(command)}\n{finished.stdout}\n")
    if finished.returncode not in (0, 2):  # 2: some benchmark failed
        last = "\n".join(finished.stdout.strip().splitlines()[-12:])
        raise RunStoppedError(f"asv ended with {finished.returncode}:\n{last}")
    return finished.stdout


def configuration(results: Path) -> dict[str, Any]:
    """Return this checkout's configuration, with other results; asv works in the folder of it."""
    config = vars(Config.load(str(ROOT / "asv.conf.json")))
    folders = {name: str(ROOT / config[name]) for name in ("benchmark_dir", "env_dir", "html_dir")}
    # A checkout of a commit or of another branch may have none of the branches.
    branches = [name for name in config["branches"] if _is_commit(name)] or ["HEAD"]
    places = {"repo": str(ROOT), "results_dir": str(results), "branches": branches}
    return {"version": 1, **config, **folders, **places}


def _is_commit(name: str) -> bool:
    command = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def _publish(stage: Path, results: Path) -> None:
    """Replace each file of the results that is another in the stage, whole or not at all."""
    for new in sorted(path for path in stage.rglob("*.json")):
        target = results / new.relative_to(stage)
        content = new.read_bytes()
        if target.exists() and target.read_bytes() == content:
            continue
        json.loads(content)  # never put half a file over a whole one
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            beside.write_bytes(content)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


# --- what came of it -----------------------------------------------------------------------------


def count(stage: Path, since_ms: float, patterns: Sequence[str]) -> Tally:
    """Count the chosen cells of the benchmarks that were run since then."""
    tally = Tally()
    for path in stage.glob("*/*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        for name, result in _run_since(data, since_ms):
            if not patterns or any(re.search(pattern, name) for pattern in patterns):
                number = isinstance(result, int | float)
                tally.measured += number and not math.isnan(result)
                tally.skipped += number and math.isnan(result)
                tally.failed += not number
    return tally


def _run_since(data: dict[str, Any], since_ms: float) -> Iterator[tuple[str, Any]]:
    """Yield the cells, named as ``asv run --bench`` knows them, with their results."""
    for benchmark, values in data.get("results", {}).items():
        columns = dict(zip(data["result_columns"], values, strict=False))
        if columns.get("started_at", 0) >= since_ms - 1000:
            cells = list(itertools.product(*columns["params"]))
            results = columns["result"] or [None] * len(cells)
            for cell, result in zip(cells, results, strict=True):
                yield f"{benchmark}({', '.join(cell)})", result


def _patterns(arguments: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-b", "--bench", action="append", default=[])
    chosen: list[str] = parser.parse_known_args(arguments)[0].bench
    return chosen


def _failures(output: str) -> Iterator[str]:
    """Yield what the failed cells said: their parameters and the last line."""
    for block in output.split(_BLOCK)[1:]:
        lines = [line.strip() for line in block.partition("\n\n")[0].splitlines() if line.strip()]
        if len(lines) > 1 and "Error" in block and not _SKIPPED.search(block):
            yield f"failed: {lines[0]}: {lines[-1]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
