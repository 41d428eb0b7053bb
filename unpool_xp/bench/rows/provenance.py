"""Where rows come from: the run and the commit."""

from __future__ import annotations

import os
import secrets
import subprocess
from datetime import UTC, datetime
from pathlib import Path


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
    # Within a git hook these name the repository of the hook.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(here), *arguments]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, env=environment)
        except OSError:  # there is no git
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if not head or not git("ls-files", "--", "."):
        return None
    return f"{head}+dirty" if git("status", "--porcelain", "--", ".") else head
