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
    return label.split(":")[1:2] == ["cuda"]


def device_labels(label: str) -> list[str]:
    """Return the label of the first GPU, then those of the others that this process may use."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = query(["index"]) if chosen is None else [w for w in chosen.split(",") if w.strip()]
    return [label, *(f"{label}:{number}" for number in range(1, len(visible)))]


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


def clock_mhz(label: str) -> int | None:
    """Return the clock of the processors of a backend's GPU now."""
    device = int((*label.split(":"), "0", "0")[2])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    which = visible[device].strip() if device < len(visible) else ""
    found = query(["clocks.sm"], which or str(device))
    number = found[0]["clocks.sm"].split()[0] if found and found[0]["clocks.sm"] else ""
    return int(number) if number.isdigit() else None
