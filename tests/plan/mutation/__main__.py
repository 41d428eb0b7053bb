"""Mutate the planning functions one place at a time, and see that a test fails each time.

``python -m tests.mutation`` copies the package and the tests to a temporary folder, changes the
copy, and runs the tests in a fork of one process that has imported what they need. It ends with 1
where a mutant survives that equivalent.toml does not explain, or explains one that is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plan.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[3]
TESTS = ("plan/test_windows.py", "plan/test_arguments.py")
# The files to mutate, each with the tests that most likely notice, which run first.
FILES = {
    "_plan/windows.py": TESTS,
    "_plan/resize.py": TESTS[::-1],
    "_plan/arguments.py": TESTS[::-1],
    "_plan/fractional.py": TESTS[::-1],
}
# All that the package and these tests import: loaded once, before the forks.
PRELOADED = ("numpy", "array_api_compat.numpy", "array_api_extra")
MEMORY = 8 * 2**30  # some mutants count to no end


class Copy:
    """A copy of the package beside its tests, to change and to run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bytecode = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "unpool_xp", folder / "unpool_xp", ignore=bytecode)
        for test in TESTS:  # without tests/conftest.py, which imports every array library
            shutil.copy(ROOT / "tests" / test, folder)
        (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    def passes(self, tests: tuple[str, ...], timeout: int, *, keep_bytecode: bool = False) -> bool:
        """Run the tests in a fork; whatever does not end well within the time has failed."""
        child = os.fork()
        if child == 0:
            code = 70
            with contextlib.suppress(BaseException):
                signal.alarm(timeout)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                silence = os.open(os.devnull, os.O_WRONLY)
                os.dup2(silence, 1)
                os.dup2(silence, 2)
                os.chdir(self.folder)
                sys.path.insert(0, str(self.folder))
                sys.dont_write_bytecode = not keep_bytecode
                code = int(
                    pytest.main(
                        ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--tb=no", *tests]
                    )
                )
            os._exit(code)
        return os.waitpid(child, 0)[1] == 0

    def forget_bytecode(self) -> None:
        """Two changes of a file within a second would pass for one another's bytecode."""
        for file in FILES:
            for kept in self.folder.glob(f"unpool_xp/__pycache__/{Path(file).stem}.*"):
                kept.unlink()

    @contextlib.contextmanager
    def changed(self, file: str, source: str) -> Iterator[None]:
        """Have another source for a file."""
        path = self.folder / "unpool_xp" / file
        original = path.read_text()
        path.write_text(source)
        try:
            yield
        finally:
            path.write_text(original)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("files", nargs="*", help=f"of {', '.join(FILES)}; default: all")
    files = parser.parse_args().files or [*FILES]
    for file in files:
        if file not in FILES:
            parser.error(f"{file} is not one of {', '.join(FILES)}")
    explained = tomllib.loads((Path(__file__).parent / "equivalent.toml").read_text())
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in PRELOADED:
        importlib.import_module(name)
    pytest.main(["--version"])  # loads its own parts

    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copy = Copy(Path(folder))
        started = time.perf_counter()
        if not copy.passes(TESTS, timeout=300, keep_bytecode=True):
            print(f"the tests fail as they are: python -m pytest {' '.join(TESTS)}")
            return 2
        copy.forget_bytecode()
        timeout = 5 + int(10 * (time.perf_counter() - started))
        lines, unexplained = [], 0
        for file in files:
            with copy.changed(file, "raise ImportError"):
                if copy.passes(FILES[file], timeout):
                    print(f"the tests do not import the copy of {file}")
                    return 2
            found, surprises = _try_all(copy, file, explained.get(file, {}), timeout)
            lines.append(found)
            unexplained += surprises
    print(f"\n{'file':14} mutants  killed  equivalent  survived  score  seconds")
    print("\n".join(lines))
    return 1 if unexplained else 0


def _try_all(copy: Copy, file: str, reasons: dict[str, str], timeout: int) -> tuple[str, int]:
    """Return the line of the file in the table, and how many mutants nothing explains."""
    started = time.perf_counter()
    all_of_it = mutants((copy.folder / "unpool_xp" / file).read_text())
    alive: list[Mutant] = []
    for done, mutant in enumerate(all_of_it):
        if sys.stderr.isatty():
            print(f"\r{file}: {done} of {len(all_of_it)}", end="", file=sys.stderr, flush=True)
        with copy.changed(file, mutant.source):
            if copy.passes(FILES[file], timeout):
                alive.append(mutant)
    seconds = time.perf_counter() - started

    seen = {str(mutant) for mutant in alive}
    survived = [mutant for mutant in alive if str(mutant) not in reasons]
    for mutant in survived:
        print(f"unpool_xp/{file}:{mutant.line}: survived\n    {mutant.before}\n    {mutant.after}")
    gone = [text for text in reasons if text not in seen]
    for text in gone:
        print(f"equivalent.toml, {file}: no such survivor\n    {text}")
    total, equivalent = len(all_of_it), len(alive) - len(survived)
    killed = total - len(alive)
    score = killed / (total - equivalent)
    row = f"{file:14} {total:7}  {killed:6}  {equivalent:10}  {len(survived):8}  {score:5.1%}"
    return f"{row}  {seconds:7.0f}", len(survived) + len(gone)


if __name__ == "__main__":
    sys.exit(main())
