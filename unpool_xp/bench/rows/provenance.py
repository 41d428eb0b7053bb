"""Where rows come from: the run, the commit, and what has changed since."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from unpool_xp.bench.rows.schema import Row

_PACKAGE = Path(__file__).parents[2]


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
        not know the folder, even if it lies within another repository.
    """
    here = _PACKAGE if folder is None else Path(folder)
    try:
        head = run_git(here, "rev-parse", "HEAD").decode().strip()
        if not run_git(here, "ls-files", "--", "."):
            return None
        return f"{head}+dirty" if run_git(here, "status", "--porcelain", "--", ".") else head
    except GitError:
        return None


def why_no_commit() -> str | None:
    """Return git's own words where it refuses the folder of this package, else None."""
    try:
        run_git(_PACKAGE, "rev-parse", "--git-dir")
    except NoRepositoryError:
        return None
    except GitError as error:
        return str(error)
    return None


def is_tracked(path: Path) -> bool:
    """Return whether git has a file; where it refuses to say so, it may have it."""
    try:
        return bool(run_git(path.absolute().parent, "ls-files", "--", path.name))
    except NoRepositoryError:
        return False
    except GitError:
        return True


class GitError(RuntimeError):
    """Git failed, as the message says in its own words."""


class NoRepositoryError(GitError):
    """There is no repository, or no git."""


def run_git(folder: Path, *arguments: str, index: str | None = None) -> bytes:
    """Run git in a folder and return what it prints; raise a GitError if it fails."""
    # Within a git hook these name the repository of the hook; the configuration says whom to trust.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    environment |= {"LC_ALL": "C"} | ({"GIT_INDEX_FILE": index} if index else {})
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, env=environment)
    except OSError as error:
        raise NoRepositoryError(f"git could not be started: {error}") from error
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split())
        if "not a git repository (or any" in words:
            raise NoRepositoryError(f"{folder} is in no git repository")
        raise GitError(f"git refuses {folder}: {words or f'exit code {done.returncode}'}")
    return done.stdout


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
