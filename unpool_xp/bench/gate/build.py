"""Two builds of the package side by side: each installed on its own, over the same dependencies."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_INSTALLED_PATHS = ("unpool_xp", "pyproject.toml")  # what an installation depends on
_METADATA = ("README.md", "LICENSE", "CHANGELOG.md")
_PIP_SECONDS = 600.0
_TAIL_LINES = 12
_MARKER_FILE = "built.json"


class GateError(RuntimeError):
    """There is nothing to measure, as the message explains."""


@dataclass(frozen=True)
class Build:
    """An installed version of the package."""

    ref: str  # as it was asked for
    commit: str  # the hash, and "+dirty" if the files differ from it
    python: Path
    folder: Path  # the environment; the package is imported from there or not at all

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
    commit: str

    @property
    def dirty(self) -> bool:
        """Whether it is the working tree, with changes that are in no commit."""
        return self.commit.endswith("+dirty")


def find_source(repository: Path, ref: str | None) -> Source:
    """Return the version of a ref that git understands, or of the working tree if None.

    Raises a GateError that says what to do if there is no repository or no such ref.
    """
    try:
        root = Path(_git(repository, "rev-parse", "--show-toplevel").decode().strip())
    except subprocess.CalledProcessError:
        raise GateError(f"{repository} is in no git repository") from None
    except OSError as error:
        raise GateError(f"git could not be started: {error}") from error
    name = "HEAD" if ref is None else ref
    try:
        # No option, whatever it is called.
        wanted = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        commit = _git(root, *wanted).decode().strip()
    except subprocess.CalledProcessError:
        advice = "give a branch, a tag or a hash that `git log` knows"
        if _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
            advice = (
                "this clone is shallow: fetch it with `git fetch --unshallow`, in a CI job "
                "with the option that takes the whole history"
            )
        raise GateError(f"there is no commit {name!r} in {root}; {advice}") from None
    if ref is None and _git(root, "status", "--porcelain", "--", *_INSTALLED_PATHS).strip():
        commit += "+dirty"
    return Source(root, "the working tree" if ref is None else ref, commit)


def _git(folder: Path, *arguments: str) -> bytes:
    # Within a git hook these name the repository of the hook.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, env=environment).stdout


def copy_tree(source: Source, to: Path) -> None:
    """Write the files of a version into a new folder."""
    to.mkdir(parents=True)
    if not source.dirty:
        archive = _git(source.repository, "archive", "--format=tar", source.commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(to, filter="data")
        return
    for name in _files(source):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source.repository / name, to / name)


def _files(source: Source) -> list[str]:
    """Return what the working tree has for an installation, new files that git may see too."""
    listing = _git(
        source.repository,
        *("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"),
        *(*_INSTALLED_PATHS, *_METADATA),
    )
    names = sorted({name for name in os.fsdecode(listing).split("\0") if name})
    return [name for name in names if (source.repository / name).is_file()]


def build(
    source: Source, cache: Path, install: Callable[[Path, Path], None] | None = None
) -> Build:
    """Install a version into an environment of its own in the cache, or take the one there.

    The dependencies are those of the running interpreter, the same for every build. `install` puts
    the package of a tree into a python's environment, by default with pip; a GateError has the last
    lines of pip if it fails. All names in the cache have one length, because the length of a path
    moves a program's memory.
    """
    folder = cache.resolve() / _cache_key(source)
    built = Build(source.ref, source.commit, folder / "bin" / "python", folder)
    if (folder / _MARKER_FILE).is_file():
        return built
    work = folder.with_name(f"{folder.name}.{os.getpid()}")  # whole, or not there
    tree = work.with_name(f"{work.name}.tree")
    try:
        for leftover in (folder, work, tree):
            shutil.rmtree(leftover, ignore_errors=True)
        copy_tree(source, tree)
        venv.EnvBuilder(symlinks=os.name == "posix").create(work)
        (install or pip_install)(tree, work / "bin" / "python")
        # Last, so that pip does not take the dependencies' environment for its own.
        _add_dependencies(work)
        (work / _MARKER_FILE).write_text(json.dumps({"commit": source.commit}), encoding="utf-8")
        with contextlib.suppress(OSError):  # another gate was quicker
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(tree, ignore_errors=True)
    return built


def _cache_key(source: Source) -> str:
    """Return a name for a version over these dependencies."""
    digest = hashlib.sha256(f"{source.commit}\0{sys.version}\0{_dependencies()}".encode())
    if source.dirty:
        for name in _files(source):
            content = (source.repository / name).read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _dependencies() -> list[str]:
    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))


def _add_dependencies(environment: Path) -> None:
    site = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    lines = [f"import site; site.addsitedir({folder!r})" for folder in _dependencies()]
    # A path file comes after what lies beside it: the environment's own package is found first.
    (site / "site-packages" / "dependencies.pth").write_text("\n".join(lines) + "\n", "utf-8")


def pip_install(tree: Path, python: Path) -> None:
    """Install the package of a tree, without its dependencies."""
    options = ("--no-deps", "--quiet", "--disable-pip-version-check", "--no-warn-script-location")
    run_or_raise(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(tree)],
        f"installing {tree.name.partition('.')[0]} failed",
    )


def run_or_raise(command: Sequence[str], failure: str) -> None:
    """Run a command to its end; a GateError with its last lines where it fails."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=_PIP_SECONDS)
    except subprocess.TimeoutExpired:
        raise GateError(f"{failure}: not done in {_PIP_SECONDS:g} s") from None
    finally:
        # On Ctrl-C, too: pip starts processes of its own.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        last = [line for line in output.splitlines() if line.strip()][-_TAIL_LINES:]
        raise GateError("\n".join([f"{failure}; the last lines of {command[2]}:", *last]))


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
        if source.dirty:
            text = (source.repository / "pyproject.toml").read_text(encoding="utf-8")
        else:
            text = _git(source.repository, "show", f"{source.commit}:pyproject.toml").decode()
        project = tomllib.loads(text)["project"]
    except (subprocess.CalledProcessError, OSError, ValueError, KeyError):
        return None
    extras = project.get("optional-dependencies", {})
    timed = (extras.get(name, []) for name in ("torch", "jax", "dask"))
    return {*project.get("dependencies", []), *(name for names in timed for name in names)}
