"""Install two versions of a package side by side, over the same dependencies."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pkgutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unpool_xp.bench.rows.provenance import GitError, run_git

_PIP_SECONDS = 600.0
# What is built has no history: a version made of git's tags is any.
_NO_TAGS = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0"}
_TAIL_LINES = 12


class GateError(RuntimeError):
    """There is nothing to measure, as the message explains."""


@dataclass(frozen=True)
class Build:
    """An installed version of a package."""

    ref: str  # as it was asked for
    commit: str  # the hash, and "+dirty" if the files differ from it
    python: Path
    folder: Path  # the environment; the package is imported from there or not at all

    @property
    def packages(self) -> Path:
        """Where the package lies in the environment."""
        return _site_packages(self.folder)

    @property
    def modules(self) -> set[str]:
        """The names of what can be imported from there, without the dependencies."""
        return {module.name for module in pkgutil.iter_modules([str(self.packages)])}

    @property
    def short_commit(self) -> str:
        """The commit in a few characters."""
        name, plus, dirty = self.commit.partition("+")
        return name[:10] + plus + dirty


@dataclass(frozen=True)
class Source:
    """The files of a version: a commit's, or those of the working tree where they differ."""

    repository: Path
    ref: str
    commit: str  # as in `Build`
    tree: str  # the hash of the files, for git


def find_source(repository: Path, ref: str | None) -> Source:
    """Return the version of a ref that git understands, or of the working tree if None.

    Raises a GateError that says what to do if there is no such ref, and a GitError if there is no
    repository, or if git refuses it, as one that belongs to another user.
    """
    root = Path(run_git(repository, "rev-parse", "--show-toplevel").decode().strip())
    name = "HEAD" if ref is None else ref
    try:
        # No option, whatever it is called.
        wanted = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        commit = tree = run_git(root, *wanted).decode().strip()
    except GitError:
        advice = "give a branch, a tag or a hash that `git log` knows"
        if run_git(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
            advice = (
                "this clone is shallow: fetch it with `git fetch --unshallow`, in a CI job "
                "with the option that takes the whole history"
            )
        raise GateError(f"there is no commit {name!r} in {root}; {advice}") from None
    if ref is None and run_git(root, "status", "--porcelain").strip():
        commit, tree = f"{commit}+dirty", _store_working_tree(root)
    return Source(root, "the working tree" if ref is None else ref, commit, tree)


def _store_working_tree(repository: Path) -> str:
    """Store the files as they are in the working tree, new ones too; return the tree's hash."""
    with tempfile.TemporaryDirectory() as scratch:
        index = f"{scratch}/index"  # that of the repository stays as it is
        run_git(repository, "read-tree", "HEAD", index=index)
        run_git(repository, "add", "--all", index=index)
        return run_git(repository, "write-tree", index=index).decode().strip()


def build(
    source: Source, cache: Path, install: Callable[[Path, Path], None] | None = None
) -> Build:
    """Install a version into an environment of its own in the cache, or take the one there.

    The dependencies are those of the running interpreter, the same for every build. `install` puts
    the package of a tree into a python's environment, by default with pip; a GateError has the last
    lines of pip if it fails. All names in the cache have one length, because the length of a path
    moves a program's memory.
    """
    dependencies = list(dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib"))))
    key = hashlib.sha256(f"{source.tree}\0{sys.version}\0{dependencies}".encode()).hexdigest()[:16]
    folder = cache.resolve() / key
    built = Build(source.ref, source.commit, folder / "bin" / "python", folder)
    if folder.exists():
        return built
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tree, work = Path(scratch) / key, Path(scratch) / "environment"
        archive = run_git(source.repository, "archive", "--format=tar", source.tree)
        try:
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(tree, filter="data")
        except tarfile.TarError as error:  # a link to a place outside
            raise GateError(f"{source.ref} cannot be unpacked: {error}") from error
        venv.EnvBuilder(symlinks=os.name == "posix").create(work)
        try:
            (install or pip_install)(tree, work / "bin" / "python")
        except GateError as error:
            raise GateError(f"{source.ref} cannot be installed: {error}") from None
        # Last, so that pip does not take the dependencies' environment for its own.
        _add_dependencies(work, dependencies)
        with contextlib.suppress(OSError):  # another gate was quicker
            work.rename(folder)  # whole, or not there
    return built


def _add_dependencies(environment: Path, dependencies: list[str]) -> None:
    lines = [f"import site; site.addsitedir({folder!r})" for folder in dependencies]
    # A path file comes after what lies beside it: the environment's own package is found first.
    (_site_packages(environment) / "dependencies.pth").write_text("\n".join(lines) + "\n", "utf-8")


def _site_packages(environment: Path) -> Path:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return environment / "lib" / version / "site-packages"


def pip_install(tree: Path, python: Path) -> None:
    """Install the package of a tree, without its dependencies."""
    options = ("--no-deps", "--quiet", "--disable-pip-version-check", "--no-warn-script-location")
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(tree)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**_NO_TAGS, **os.environ},
    )
    try:
        output, _ = process.communicate(timeout=_PIP_SECONDS)
    except subprocess.TimeoutExpired:
        raise GateError(f"pip did not finish in {_PIP_SECONDS:g} s") from None
    finally:
        # On Ctrl-C, too: pip starts processes of its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        last = [line for line in output.splitlines() if line.strip()][-_TAIL_LINES:]
        raise GateError("\n".join(["the last lines of pip:", *last]))


def dependency_notes(base: Source, head: Source) -> list[str]:
    """Return a note if base and head declare different dependencies: both use the same ones."""
    declared = [_declared_dependencies(source) for source in (base, head)]
    if None in declared or declared[0] == declared[1]:
        return []
    changed = sorted((declared[0] or set()) ^ (declared[1] or set()))
    return [
        "base and head ask for other dependencies "
        f"({', '.join(changed)}); both were measured with those that are installed here"
    ]


def _declared_dependencies(source: Source) -> set[str] | None:
    try:
        text = run_git(source.repository, "show", f"{source.tree}:pyproject.toml").decode()
        project = tomllib.loads(text)["project"]
    except (GitError, ValueError, KeyError):
        return None
    extras = project.get("optional-dependencies", {})
    timed = (extras.get(name, []) for name in ("torch", "jax", "dask"))
    return {*project.get("dependencies", []), *(name for names in timed for name in names)}
