"""The fuzzer of installed libraries says which call a process crashed in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BACKEND = """
import os
import array_api_strict as xp
from unpool_xp.backends import Backend

class Crashes(Backend):
    def asarray(self, array):
        os._exit(7)

def load():
    return Crashes("mine", xp)
"""


def test_a_crash_is_told_from_an_error(tmp_path: Path) -> None:
    file = tmp_path / "crashing_backend.py"
    file.write_text(BACKEND)
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, str(tmp_path)])}
    words = [f"{file}:load", "--calls", "1"]
    shown = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.others", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 1, shown.stderr
    assert shown.stdout.splitlines() == [f"{file}:load: exit code 7 in call 0", "1 crashes"]
