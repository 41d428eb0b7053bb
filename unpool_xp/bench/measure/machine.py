"""What a measurement ran on: the facts of this machine that a time depends on."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psutil
from msgspec import Meta
from msgspec.structs import asdict

from unpool_xp.bench.cases.formatting import printable
from unpool_xp.bench.measure.host import nvidia
from unpool_xp.bench.measure.host.cgroup import cpu_quota, memory_limit
from unpool_xp.bench.rows.files import Problem, read_json
from unpool_xp.bench.rows.schema import Text

# What changes the threads or the kernels of a numeric library; nothing else is ever recorded.
ENVIRONMENT = (
    "ATEN_CPU_CAPABILITY",
    "BLIS_ARCH_TYPE",
    "BLIS_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "GOMP_CPU_AFFINITY",
    "JAX_ENABLE_X64",
    "KMP_AFFINITY",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "OMP_NUM_THREADS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "XLA_FLAGS",
)
_SYSFS_CPUS = Path("/sys/devices/system/cpu")
_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z"
_Count = Annotated[int, Meta(gt=0, le=2**63 - 1)]
_Names = Annotated[tuple[Text, ...], Meta(max_length=1000)]
_Facts = Annotated[dict[Text, Text], Meta(max_length=1000)]


class Machine(msgspec.Struct, frozen=True):
    """The fingerprint of a machine.

    Attributes
    ----------
    id : str
        Short and stable: the CPU, the cores, and a hash of the hardware below. Versions, the
        governor and the environment do not change it. Or a name that the user chose.
    cpu : str
        The model.
    architecture : str
        Such as "x86_64".
    physical_cores, logical_cores : int
        Those that this process may use, not those that the machine has.
    caches : dict of str to int
        Bytes, by name, such as "L2" or "L1 data".
    memory_bytes : int
        All of it, used or not.
    gpus : tuple of str
        Names, as ``nvidia-smi`` gives them.
    os, python : str
        Versions.
    governor : str or None
        The CPU's frequency governor, where it can be read.
    environment : dict of str to str
        The variables of `ENVIRONMENT` that are set.
    gpu_facts : tuple of dict of str to str
        Of each GPU the driver, the clocks beside their maximum, the power limit and the
        temperature, as ``nvidia-smi`` gave them just now; empty where there is none.
    cpu_quota : float or None
        Cores' worth of CPU time that the container may use, where that is less than the cores.
    memory_limit_bytes : int or None
        Bytes that the container may have, where that is less than the memory.
    """

    id: Annotated[str, Meta(pattern=_ID)]  # a folder is named by it
    cpu: Text
    architecture: Text
    physical_cores: _Count
    logical_cores: _Count
    caches: Annotated[dict[Text, _Count], Meta(max_length=1000)]
    memory_bytes: _Count
    gpus: _Names
    os: Text
    python: Text
    governor: Text | None
    environment: _Facts
    gpu_facts: Annotated[tuple[_Facts, ...], Meta(max_length=1000)] = ()
    cpu_quota: Annotated[float, Meta(gt=0, le=1e15)] | None = None
    memory_limit_bytes: _Count | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain lists, numbers and strings."""
        facts: dict[str, Any] = json.loads(msgspec.json.encode(self))
        return facts

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Machine:
        """Rebuild a machine from `to_json`; raise a ValueError if the data is invalid."""
        try:
            machine = msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"is not a machine: {error}") from error
        return cls(**{name: _printable_fact(fact) for name, fact in asdict(machine).items()})


def _printable_fact(fact: Any) -> Any:
    """Return a fact of a machine without control characters."""
    if isinstance(fact, str):
        return printable(fact)
    if isinstance(fact, tuple):
        return tuple(map(_printable_fact, fact))
    if isinstance(fact, dict):
        return {printable(name): _printable_fact(value) for name, value in fact.items()}
    return fact


def this_machine(name: str | None = None) -> Machine:
    """Return the fingerprint of the machine that this runs on.

    Parameters
    ----------
    name : str, optional
        The id, such as that of one host in a cloud whose hardware changes. Default: one by the
        hardware.

    Returns
    -------
    Machine
        The facts. The hardware is queried once per process, which takes a second.

    Raises
    ------
    ValueError
        If the name is none: a folder is named by it.

    Examples
    --------
    >>> from unpool_xp.bench.measure.machine import this_machine
    >>> this_machine().logical_cores >= 1
    True
    """
    if name is not None and not re.match(_ID, name):
        raise ValueError(
            "a machine's name has up to 80 letters, digits, dots, hyphens and underscores, and "
            "starts with a letter or a digit"
        )
    hardware = _hardware()
    return Machine(
        id=machine_id(hardware) if name is None else name,
        **hardware,
        os=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        governor=_read_text(_SYSFS_CPUS / "cpu0/cpufreq/scaling_governor"),
        environment={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        gpu_facts=tuple(nvidia.query(nvidia.FACTS)) if hardware["gpus"] else (),
    )


def machine_id(hardware: Mapping[str, Any]) -> str:
    """Return the slug of a machine.

    Parameters
    ----------
    hardware : mapping
        The facts `cpu`, `architecture`, `physical_cores`, `logical_cores`, `caches`,
        `memory_bytes` and `gpus` of a `Machine`, and its limits if it has any; others are left out
        of account.

    Returns
    -------
    str
        Such as "amd-epyc-2core-1a2b3c".
    """
    names = ("cpu", "architecture", "physical_cores", "logical_cores", "caches", "gpus")
    # The kernel keeps a little of the memory for itself, and more or less of it in each version.
    gibibytes = round(hardware["memory_bytes"] / 2**30)
    facts = [*(hardware[name] for name in names), gibibytes]
    # Only where there are any, so that a machine without keeps the id that it had before.
    limits = {name: hardware.get(name) for name in ("cpu_quota", "memory_limit_bytes")}
    facts += [[name, limit] for name, limit in limits.items() if limit is not None]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"\((r|tm)\)|\bcpu\b|\bprocessor\b|@.*|\d+-core", " ", hardware["cpu"].lower())
    slug = re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:40].strip("-") or "cpu"
    return f"{slug}-{hardware['physical_cores']}core-{digest[:6]}"


def write_machine(folder: str | Path, machine: Machine | None = None) -> Path:
    """Write a machine's facts to ``machine.json``.

    Parameters
    ----------
    folder : str or Path
        Where to; it is made.
    machine : Machine, optional
        Whose. Default: this one's.

    Returns
    -------
    Path
        The file.
    """
    path = Path(folder) / "machine.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        facts = (machine or this_machine()).to_json()
        new.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        new.replace(path)  # whole or not at all: the disk may be full
    finally:
        new.unlink(missing_ok=True)
    return path


def read_machines(paths: Iterable[str | Path]) -> tuple[dict[str, Machine], list[Problem]]:
    """Read the ``machine.json`` in and beside results.

    Parameters
    ----------
    paths : iterable of str or Path
        Files of rows, or folders, which are searched to the bottom.

    Returns
    -------
    dict of str to Machine
        By id.
    list of Problem
        A problem for each file that could not be read.
    """
    machines, problems = {}, []
    for path in map(Path, paths):
        found = path.rglob("machine.json") if path.is_dir() else [path.parent / "machine.json"]
        for file in found:
            if file.exists() and not file.is_file():  # to read a pipe would wait for ever
                problems.append(Problem(file, 1, "is not a file"))
                continue
            try:
                machine = Machine.from_json(read_json(file.read_bytes()))
            except FileNotFoundError:  # only where it is not in a folder
                continue
            except OSError as error:
                problems.append(Problem(file, 1, f"cannot be read: {error.strerror or error}"))
            except ValueError as error:
                problems.append(Problem(file, getattr(error, "lineno", 1), str(error)))
            else:
                machines[machine.id] = machine
    return machines, problems


@functools.cache
def _hardware() -> dict[str, Any]:
    import cpuinfo  # starts a process

    cpu = cpuinfo.get_cpu_info()
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    logical = len(usable) if usable else psutil.cpu_count() or 1
    memory, limit, quota = psutil.virtual_memory().total, memory_limit(), cpu_quota()
    return {
        "cpu": cpu.get("brand_raw") or platform.processor() or platform.machine() or "unknown",
        "architecture": platform.machine(),
        "physical_cores": _physical_cores(usable, logical),
        "logical_cores": logical,
        "caches": _caches(usable[0] if usable else 0) or _cpuinfo_caches(cpu),
        "memory_bytes": memory,
        "gpus": tuple(gpu["name"] for gpu in nvidia.query(["name"])),
        "cpu_quota": quota if quota is not None and quota < logical else None,
        "memory_limit_bytes": limit if limit is not None and limit < memory else None,
    }


def _physical_cores(usable: list[int] | None, logical: int) -> int:
    """Count the cores behind the usable CPUs: two threads of a core are one."""
    topology = [_SYSFS_CPUS / f"cpu{number}/topology" for number in usable or []]
    cores = {(_read_text(t / "physical_package_id"), _read_text(t / "core_id")) for t in topology}
    if cores and all(core is not None for _, core in cores):
        return len(cores)
    return min(psutil.cpu_count(logical=False) or logical, logical)


def _caches(number: int) -> dict[str, int]:
    caches = {}
    for index in sorted((_SYSFS_CPUS / f"cpu{number}/cache").glob("index*")):
        level, kind, size = (_read_text(index / name) for name in ("level", "type", "size"))
        found = re.fullmatch(r"(\d+)([KM]?)", size or "")
        if level and found:
            name = f"L{level}" + ("" if kind == "Unified" else f" {str(kind).lower()}")
            caches[name] = int(found[1]) * {"": 1, "K": 2**10, "M": 2**20}[found[2]]
    return caches


def _cpuinfo_caches(cpu: Mapping[str, Any]) -> dict[str, int]:
    names = {"L1 data": "l1_data_cache_size", "L2": "l2_cache_size", "L3": "l3_cache_size"}
    return {name: cpu[key] for name, key in names.items() if isinstance(cpu.get(key), int)}


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
