"""A type checker knows that an operation returns the type of array that went in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

RIGHT = """\
from typing import Any, TypeAlias, assert_type
import numpy as np
import torch
from unpool_xp import MaxPooled, avg_pool, conv_transpose, linear_unpool, max_pool, max_unpool

Plane: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.float32]]

def of_torch(x: torch.Tensor, weight: torch.Tensor) -> None:
    pooled = max_pool(x, 2)
    assert_type(pooled, MaxPooled[torch.Tensor])
    assert_type(max_unpool(pooled.values, pooled.indices, 2), torch.Tensor)
    assert_type(linear_unpool(avg_pool(x, 2), 2), torch.Tensor)
    assert_type(conv_transpose(x, weight), torch.Tensor)

def of_numpy(x: Plane, where: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    values, _ = max_pool(x, (2, 2))
    assert_type(values, Plane)
    assert_type(max_unpool(values, where, (2, 2)), Plane)
    assert_type(linear_unpool(avg_pool(x, (2, 2)), (2, 2)), Plane)
    assert_type(conv_transpose(x, x), Plane)
"""
WRONG = """\
import numpy as np
import torch
from unpool_xp import avg_pool, max_pool

y: torch.Tensor = max_pool(np.ones((2, 2)), (2, 2)).values
avg_pool([[1.0, 2.0]], (1, 2))
"""


ROOT = Path(__file__).parents[1]


def test_a_type_checker_knows_what_comes_out(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    # Nearly all of the time goes into reading NumPy and PyTorch, which `make lint` has done.
    known = [
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *known, "right.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    errors = re.findall(r"^(\w+\.py:\d+): error: .*\[(.+)\]$", ran.stdout, re.MULTILINE)
    assert errors == [("wrong.py:5", "assignment"), ("wrong.py:6", "type-var")], ran.stdout
