"""Notes on what else differs between two sets of rows, besides the code."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from unpool_xp.bench.rows import asv, pytest_benchmark
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.control import same_version

Pairs = Sequence[tuple[Row, Row]]  # of the same case, in base and head

_COPY_CHANGE = 1.25  # beyond it the machine is not what it was
_FACTS = (("backend_version", "version"), ("threads", "threads"), ("device", "device"))


def notes_on(base: Sequence[Row], head: Sequence[Row], pairs: Pairs) -> list[str]:
    """Return notes on what a reader of a comparison must know, one sentence each.

    `base` and `head` are all rows of each side, `pairs` the rows that are compared.
    """
    notes = [f"{side} has no rows" for side, rows in (("base", base), ("head", head)) if not rows]
    if notes:
        return notes
    if not pairs:
        notes.append("no case was measured in both base and head")
    elif all(old == new for old, new in pairs):
        return ["base and head are the very same rows"]
    return [
        *notes,
        *_machine_notes(base, head, pairs),
        *_commit_notes(pairs),
        *_environment_notes(pairs),
        *_tool_notes(pairs),
        *_copy_rate_notes(pairs),
    ]


def _machine_notes(base: Sequence[Row], head: Sequence[Row], pairs: Pairs) -> Iterable[str]:
    there = [{row.machine for row in rows} for rows in (base, head)]
    if not there[0] & there[1]:
        names = [", ".join(sorted(machines)) for machines in there]
        yield (
            f"DIFFERENT MACHINES: base is of {names[0]}, head of {names[1]}; the ratios are of the "
            "machines as much as of the code"
        )
        return
    for side, machines in (("base", there[0] - there[1]), ("head", there[1] - there[0])):
        if machines:
            yield f"left out, as only {side} has rows of it: machine {', '.join(sorted(machines))}"


def _commit_notes(pairs: Pairs) -> Iterable[str]:
    sides = [sorted({row.commit or "" for row in rows}) for rows in zip(*pairs, strict=True)]
    for side, commits in zip(("base", "head"), sides, strict=False):
        if len(commits) > 1:
            yield f"{side} has rows of {len(commits)} commits: {', '.join(map(_short, commits))}"
        if any(commit.endswith("+dirty") for commit in commits):
            yield f"{side} has rows of a checkout with changes that are in no commit"
    if sides and sides[0] == sides[1] and "" not in sides[0]:
        yield "base and head are of the same commit"


def _short(commit: str) -> str:
    name, plus, dirty = commit.partition("+")
    return name[:8] + plus + dirty or "unknown"


def _environment_notes(pairs: Pairs) -> Iterable[str]:
    """Yield changes of library version, threads or device; unknown values count as unchanged."""
    for field, word in _FACTS:
        changes: dict[tuple[object, object], dict[str, None]] = {}
        for base, head in pairs:
            old, new = getattr(base, field), getattr(head, field)
            if not _same_fact(old, new):
                changes.setdefault((old, new), {})[base.backend] = None
        for (old, new), labels in changes.items():
            yield f"{', '.join(labels)}: {word} {old} in base, {new} in head"


def _same_fact(old: object, new: object) -> bool:
    """Return whether two facts are the same as far as is known."""
    return None in (old, new) or same_version(str(old), str(new))


def _tool_notes(pairs: Pairs) -> Iterable[str]:
    tools = [sorted({_tool(row) for row in rows}) for rows in zip(*pairs, strict=True)]
    if tools and tools[0] != tools[1]:
        names = [" and ".join(side) for side in tools]
        yield f"base was measured with {names[0]}, head with {names[1]}"


def _tool(row: Row) -> str:
    tools = {asv.RUN_PREFIX: "asv", pytest_benchmark.RUN_PREFIX: "pytest-benchmark"}
    return next((tool for run, tool in tools.items() if row.run.startswith(run)), "unpool-xp")


def _copy_rate_notes(pairs: Pairs) -> Iterable[str]:
    """Yield where a plain copy became faster or slower: the machine changed, not our code."""
    rates: dict[str, list[tuple[float, float]]] = {}
    for base, head in pairs:
        # Older rows, without processes, have the copy of another size.
        if base.copy_gb_s and head.copy_gb_s and bool(base.process) == bool(head.process):
            rates.setdefault(base.backend, []).append((base.copy_gb_s, head.copy_gb_s))
    for label, both in rates.items():
        old, new = (statistics.median(side) for side in zip(*both, strict=True))
        if max(old / new, new / old) > _COPY_CHANGE:
            yield (
                f"{label}: a plain copy reached {old:.3g} GB/s in base and {new:.3g} in head: the "
                "machine itself was not as fast"
            )
