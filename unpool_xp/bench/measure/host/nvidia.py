"""Facts about NVIDIA GPUs from ``nvidia-smi``, without any GPU library."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

_SECONDS = 20.0
FACTS = (
    "name",
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "clocks.max.mem",
    "power.limit",
    "temperature.gpu",
)


def on_cuda(label: str) -> bool:
    """Return whether a backend's label is of an NVIDIA GPU."""
    return label.endswith(":cuda")


def query(names: Sequence[str], which: str | None = None) -> list[dict[str, str]]:
    """Ask ``nvidia-smi`` for facts of the GPUs.

    Parameters
    ----------
    names : sequence of str
        As ``nvidia-smi --help-query-gpu`` lists them.
    which : str, optional
        The number or the UUID of one GPU. Default: all.

    Returns
    -------
    list of dict of str to str
        One a GPU, with units; empty where there is no driver, or it does not answer.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    if which is not None:
        command += ["-i", which]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    lines = [[word.strip() for word in line.split(",")] for line in answer.stdout.splitlines()]
    return [dict(zip(names, words, strict=True)) for words in lines if len(words) == len(names)]


def clock_mhz() -> int | None:
    """Return the clock of the processors of the first GPU that this process may use, now."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    found = query(["clocks.sm"], visible or "0")
    number = found[0]["clocks.sm"].split()[0] if found and found[0]["clocks.sm"] else ""
    return int(number) if number.isdigit() else None
