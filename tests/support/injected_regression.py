"""Plant a slowdown of a known factor in a scratch repository, and see whether the gate finds it.

``python -m tests.support.injected_regression --runs 10`` compares the package with
itself, and with copies whose operations were made slower, that many times each. It prints one line
per run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OPERATIONS = ("max_pool", "avg_pool", "nearest_unpool", "max_unpool", "linear_unpool")

# Goes to the end of unpool_xp/__init__.py. The wait is as long as the work itself, times what is
# asked for, and begins when the output is ready. No wait would get into what a library compiles, so
# there the operation is compiled as it was, and the wait follows the compiled call.
SLOW_WRAPPER = """

def _planted(function, factor):  # type: ignore[no-untyped-def]
    import functools
    import time

    @functools.wraps(function)
    def slower(*arrays, **options):  # type: ignore[no-untyped-def]
        start = time.perf_counter()
        output = function(*arrays, **options)
        for array in output if isinstance(output, tuple) else (output,):
            getattr(array, "block_until_ready", lambda: None)()
        end = start + factor * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return output

    return slower


def _planted_compile(compile, factor):  # type: ignore[no-untyped-def]
    def planted_compile(self, call):  # type: ignore[no-untyped-def]
        cells = [c for c in call.__closure__ or () if c.cell_contents is {operation}]
        for cell in cells:
            cell.cell_contents = {operation}.__wrapped__
        compiled = compile(self, call)
        return _planted(compiled, factor) if cells else compiled

    return planted_compile


{operation} = _planted(__getattr__("{operation}"), {factor!r})
from unpool_xp.backends.libraries import _Jax, _Torch  # noqa: E402

for _backend in (_Jax, _Torch):
    _backend.compile = _planted_compile(_backend.compile, {factor!r})  # type: ignore[method-assign]
"""


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=planted", "-c", "user.email=planted@localhost")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def scratch_repository(to: Path) -> str:
    """Make a repository of the package as it is here, changes and all; return its commit."""
    junk = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "unpool_xp", to / "unpool_xp", ignore=junk)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    subprocess.run(["git", "init", "--quiet", str(to)], check=True, capture_output=True)
    git(to, "add", "--all")
    git(to, "commit", "--quiet", "--no-gpg-sign", "--message", "base")
    return git(to, "rev-parse", "HEAD")


def commit_change(
    repository: Path, text: str, base: str, name: str, files: dict[str, str] | None = None
) -> str:
    """Commit text at the end of the package's __init__.py, and files; return the hash."""
    git(repository, "checkout", "--quiet", "-B", name, base)
    with (repository / "unpool_xp" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write(text)
    for path, content in (files or {}).items():
        (repository / path).write_text(content, encoding="utf-8")
    git(repository, "add", "--", "unpool_xp", *(files or ()))
    git(repository, "commit", "--quiet", "--no-gpg-sign", "--message", name)
    return git(repository, "rev-parse", "HEAD")


def inject_slowdown(repository: Path, operation: str, factor: float, base: str) -> str:
    """Commit an operation that takes so many times as long; return the hash."""
    text = SLOW_WRAPPER.format(operation=operation, factor=factor)
    return commit_change(repository, text, base, f"{operation}-{factor}")


def run_gate(repository: Path, base: str, head: str, *options: str) -> dict[str, Any]:
    """Run the command there; return its JSON, with the exit code."""
    arguments = ["gate", base, "--head", head, "--json", *options]
    # -P: the harness is this one, not that of the repository.
    command = [sys.executable, "-P", "-m", "unpool_xp", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if not done.stdout.strip():
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr}")
    return {**json.loads(done.stdout), "exit_code": done.returncode}


def summarize(answer: dict[str, Any], operation: str | None) -> dict[str, Any]:
    """Say what was found of the planted operation, and what else was called slower."""
    slower = [e for e in answer["entries"] if e["outcome"] in ("slower", "broken")]
    slowed = [
        e
        for e in answer["entries"]
        if operation is not None
        and e["name"].startswith(f"{operation}-")
        and e["ratio"] is not None
    ]
    hits = [e for e in slower if e in slowed]
    noise = [apart["median"] for apart in answer["noise"].values() if apart]
    return {
        "alarms": len(slower) - len(hits),
        "hits": len(hits),
        "found": f"{len(hits)} of {len(slowed)}" if operation else "-",
        "ratio": f"{statistics.median(e['ratio'] for e in slowed):.2f}" if slowed else "-",
        "noise": f"{100 * statistics.median(noise):.1f}%" if noise else "-",
        "undecided": f"{answer['counts']['undecided']} of {len(answer['entries'])}",
        "s": f"{answer['seconds']:.0f}",
    }


LINE = (
    "{factor:>6} {run:>4} {planted:16} {alarms:>6} {found:>7} {ratio:>6} {noise:>6} "
    "{undecided:>9} {s:>4}"
)
COLUMNS = ("factor", "run", "alarms", "found", "ratio", "noise", "undecided", "s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit 1 where a run against itself alarmed, or a plant was mostly missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="of each kind")
    parser.add_argument("--factors", type=float, nargs="*", default=[1.2, 1.1])
    parser.add_argument("--operations", nargs="*", default=list(OPERATIONS), help="planted in turn")
    parser.add_argument("rest", nargs="*", help="options of unpool-xp gate, after --")
    options = parser.parse_args(arguments)
    alarms, found = 0, dict.fromkeys(options.factors, 0)
    # Interleaved: whatever the machine does meanwhile, it does to all kinds.
    kinds = itertools.product(range(options.runs), (1.0, *options.factors))
    with tempfile.TemporaryDirectory(prefix="unpool-planted-") as scratch:
        repository = Path(scratch) / "repository"
        base = scratch_repository(repository)
        print(LINE.format(planted="planted in", **{name: name for name in COLUMNS}), flush=True)
        for run, factor in kinds:
            if factor > 1:
                operation = options.operations[run % len(options.operations)]
                head = inject_slowdown(repository, operation, factor, base)
            else:  # another commit even so: an environment of its own
                operation = None
                head = commit_change(repository, "# the same\n", base, "same")
            result = summarize(run_gate(repository, base, head, *options.rest), operation)
            alarms += bool(result["alarms"])
            if operation is not None:
                found[factor] += bool(result["hits"])
            where = {"factor": factor, "run": run + 1, "planted": operation or "-"}
            print(LINE.format(**where, **result), flush=True)
    print(
        "runs with an alarm where nothing was planted: "
        f"{alarms} of {options.runs * (1 + len(found))}"
    )
    for factor, hits in found.items():
        print(f"{factor}x found in {hits} of {options.runs} runs")
    large = [hits for factor, hits in found.items() if factor >= 1.2]
    return int(bool(alarms) or any(hits < 0.9 * options.runs for hits in large))


if __name__ == "__main__":
    sys.exit(main())
