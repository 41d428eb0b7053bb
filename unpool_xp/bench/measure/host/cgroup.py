"""Limits of the container: CPU time and memory of the control groups that this process is in.

Libraries count the cores of the machine, and psutil its memory, whatever a container may use of
them. Linux has the limits in files below the mounts of /proc/self/mountinfo: version 2 in one tree
of folders, version 1 in a tree per controller. A group cannot have more than the groups above it,
so the tightest limit on the way to the root counts.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import psutil

_PROCESS = Path("/proc/self")
_NO_LIMIT = 2**62  # version 1 has no word for it, only a huge number


def cpu_quota(process: Path = _PROCESS) -> float | None:
    """Return how many cores' worth of CPU time this process may use, such as 0.4.

    Parameters
    ----------
    process : Path, optional
        The folder of the process below /proc.

    Returns
    -------
    float or None
        None where there is no limit.
    """
    quotas = []
    for folder in _folders("cpu", process):
        quota, period, *_ = [*_words(folder / "cpu.max"), "", ""]
        if not quota:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ("".join(_words(folder / name)) for name in names)
        if (quota_us := _count(quota)) and (period_us := _count(period)):
            quotas.append(quota_us / period_us)
    return min(quotas, default=None)


def memory_limit(process: Path = _PROCESS) -> int | None:
    """Return how many bytes this process and those in its container may have.

    Parameters
    ----------
    process : Path, optional
        The folder of the process below /proc.

    Returns
    -------
    int or None
        None where there is no limit.
    """
    limits = (_limit(folder) for folder in _folders("memory", process))
    return min((limit for limit in limits if limit is not None), default=None)


def available_memory(process: Path = _PROCESS) -> int:
    """Return how many bytes are left before the machine or the container runs out of memory.

    Parameters
    ----------
    process : Path, optional
        The folder of the process below /proc.

    Returns
    -------
    int
        Of a limit, what the container does not use yet; cached files that the kernel would drop
        do not count as used.
    """
    left = [int(psutil.virtual_memory().available)]
    for folder in _folders("memory", process):
        limit = _limit(folder)
        if limit is not None:
            used = _number(folder, "memory.current", "memory.usage_in_bytes") or 0
            left.append(max(limit - max(used - _dropped_files(folder), 0), 0))
    return min(left)


def _folders(controller: str, process: Path) -> list[Path]:
    """Return the folder of the process's own group and those above it, in both versions."""
    try:
        groups, mounts = (
            (process / name).read_text(encoding="utf-8", errors="surrogateescape")
            for name in ("cgroup", "mountinfo")
        )
    except OSError:  # not Linux
        return []
    own: dict[str, PurePosixPath] = {}  # the group by controller; that of version 2 by ""
    for line in groups.splitlines():
        if found := re.fullmatch(r"\d+:([^:]*):(/.*)", line):
            own |= dict.fromkeys(found[1].split(","), PurePosixPath(found[2]))
    folders: list[Path] = []
    points: list[Path] = []
    for line in mounts.splitlines():
        # Of a mount: numbers, the part of the tree that it shows, where; " - ", kind, its options.
        found = re.match(r"\S+ \S+ \S+ (\S+) (\S+) .* - (cgroup2?) \S+ (\S+)", line)
        if found is None:
            continue
        name = controller if found[3] == "cgroup" else ""
        if name not in own or (name and name not in found[4].split(",")):
            continue
        root, point = (re.sub(r"\\([0-7]{3})", _unescape, found[number]) for number in (1, 2))
        points.append(Path(point))
        group = own[name]
        # A bind mount shows a part of the tree; above it, nothing can be seen.
        if ".." not in group.parts and group.is_relative_to(root):
            below = group.relative_to(root)
            folders += [Path(point, folder) for folder in (below, *below.parents)]
    return folders or points


def _unescape(octal: re.Match[str]) -> str:
    return chr(int(octal[1], 8))


def _limit(folder: Path) -> int | None:
    limit = _number(folder, "memory.max", "memory.limit_in_bytes")
    return None if limit is None or limit >= _NO_LIMIT else limit


def _dropped_files(folder: Path) -> int:
    """Return the bytes of files that the kernel has cached and not read again since."""
    words = _words(folder / "memory.stat")
    counts = dict(zip(words[::2], words[1::2], strict=False))
    # Version 1 counts the group alone under the name that in version 2 is the total.
    return _count(counts.get("total_inactive_file", counts.get("inactive_file", ""))) or 0


def _number(folder: Path, *names: str) -> int | None:
    """Return the number in the first of the files that has one."""
    counts = (_count("".join(_words(folder / name))) for name in names)
    return next((count for count in counts if count is not None), None)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []


def _count(text: str) -> int | None:
    # No limit is "max" or "-1".
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text) else None
