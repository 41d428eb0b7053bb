"""Where rows come from: the run, the commit, and what has changed since."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from unpool_xp.bench.rows.schema import Row


def run_id() -> str:
    """Return a new name for a run, which sorts by time, such as "20250131T120000Z-1a2b3c"."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def git_commit(folder: str | Path | None = None) -> str | None:
    """Return the commit that the files of a folder are of.

    Parameters
    ----------
    folder : str or Path, optional
        Only what changed in here makes it dirty. Default: the folder of this package.

    Returns
    -------
    str or None
        The hash, with "+dirty" behind it where the files differ from it; None where git does
        not know the folder, even if it lies within somebody's repository.
    """
    here = Path(__file__).parents[2] if folder is None else Path(folder)

    def git(*arguments: str) -> str | None:
        answer = _git(here, *arguments)
        return answer.stdout.strip() if answer and answer.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if not head or not git("ls-files", "--", "."):
        return None
    return f"{head}+dirty" if git("status", "--porcelain", "--", ".") else head


def is_tracked(path: Path) -> bool:
    """Return whether git has a file; where it refuses to say so, it may have it."""
    answer = _git(path.absolute().parent, "ls-files", "--error-unmatch", "--", path.name)
    if answer is None or answer.returncode == 1:
        return False
    return answer.returncode == 0 or "not a git repository" not in answer.stderr


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Run git in a folder; return None if there is no git."""
    # Within a git hook these name the repository of the hook.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment["LC_ALL"] = "C"
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, env=environment)
    except OSError:
        return None


def changes_since(rows: Iterable[Row], **now: str | None) -> list[str]:
    """Return what is no longer as it was for some of the rows, such as the commit.

    Parameters
    ----------
    rows : iterable of Row
        Of a run.
    **now
        What is to be compared: the `commit`, the `version` and the `machine` of a row now, and the
        version of each library by the backend's label.

    Returns
    -------
    list of str
        A phrase each; empty where the rows could have been measured now. What a row does not say
        is not compared, but for a commit: no commit differs from any.
    """
    before: dict[str, set[str]] = {}
    for row in rows:
        then = {"commit": row.commit or "none", "version": row.version, "machine": row.machine}
        then[row.backend] = row.backend_version
        for what in then.keys() & now.keys():
            if then[what] and then[what] != (now[what] or "none"):
                before.setdefault(what, set()).add(str(then[what]))
    return [
        f"{what.replace('version', 'unpool_xp')}: {', '.join(sorted(then))} in the rows, "
        f"{now[what] or 'none'} now"
        for what, then in before.items()
    ]
