"""Plant a slowdown of a known factor in a scratch repository, and see whether the gate finds it.

``python -m tests.support.injected_regression --runs 10`` compares the package with
itself, and with copies whose operations were made slower, that many times each. It prints one line
per run.
"""

from __future__ import annotations

import argparse
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
# asked for, and begins when the output is ready. A compiled function is planted while it is traced,
# so never: the gate must find it where it runs eagerly.
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


{operation} = _planted({operation}, {factor!r})
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
    git(repository, "commit", "--quiet", "--all", "--no-gpg-sign", "--message", name)
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
    # A compiled function never runs what was planted.
    slowed = [
        e
        for e in answer["entries"]
        if operation is not None
        and e["name"].startswith(f"{operation}-")
        and e["mode"] == "eager"
        and e["ratio"] is not None
    ]
    hits = [e for e in slower if e in slowed]
    noise = [apart["median"] for apart in answer["noise"].values() if apart]
    return {
        "alarms": len(slower) - len(hits),
        "found": len(hits),
        "of": len(slowed),
        "ratio": statistics.median(e["ratio"] for e in slowed) if slowed else None,
        "noise": statistics.median(noise) if noise else None,
        "undecided": answer["counts"]["undecided"],
        "seconds": answer["seconds"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit 1 where a run against itself alarmed, or a plant was mostly missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="of each kind")
    parser.add_argument("--factors", type=float, nargs="*", default=[1.2, 1.1])
    parser.add_argument("--operations", nargs="*", default=list(OPERATIONS), help="planted in turn")
    parser.add_argument("rest", nargs="*", help="options of unpool-xp gate, after --")
    options = parser.parse_args(arguments)
    # Interleaved: whatever the machine does meanwhile, it does to all kinds.
    with tempfile.TemporaryDirectory(prefix="unpool-planted-") as scratch:
        repository = Path(scratch) / "repository"
        base = scratch_repository(repository)
        form = "{:>6} {:>4} {:16} {:>6} {:>7} {:>6} {:>6} {:>9} {:>4}"
        print(
            form.format(
                *("factor", "run", "planted in", "alarms", "found", "ratio", "noise"),
                *("undecided", "s"),
            ),
            flush=True,
        )
        alarms, found = 0, dict.fromkeys(options.factors, 0)
        for run in range(options.runs):
            for factor in (1.0, *options.factors):
                operation = (
                    options.operations[run % len(options.operations)] if factor > 1 else None
                )
                # Another commit, even if nothing is planted: an environment of its own.
                if operation is None:
                    head = commit_change(repository, "# the same\n", base, "same")
                else:
                    head = inject_slowdown(repository, operation, factor, base)
                result = summarize(run_gate(repository, base, head, *options.rest), operation)
                alarms += bool(result["alarms"])
                if operation is not None:
                    found[factor] += bool(result["found"])
                ratio = "-" if result["ratio"] is None else f"{result['ratio']:.2f}"
                noise = "-" if result["noise"] is None else f"{100 * result['noise']:.1f}%"
                hits = f"{result['found']} of {result['of']}" if operation else "-"
                cells = (factor, run + 1, operation or "-", result["alarms"], hits, ratio, noise)
                more = (result["undecided"], f"{result['seconds']:.0f}")
                print(form.format(*cells, *more), flush=True)
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
