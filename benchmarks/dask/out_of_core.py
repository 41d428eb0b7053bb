"""Pool and unpool an array that does not fit into memory, and hold the rate to NumPy's own.

``python benchmarks/dask/out_of_core.py --gigabytes 40 --limit 3`` pools a logical float32 array by
2x2 and brings it back, on Dask's threads, in a process that cannot have more memory than the limit.
A piece that fits goes through plain NumPy on one thread, before and after. The target: at least 70
% of that rate a core.

The array never lies anywhere. Its blocks are views of one block in memory, at another offset each,
so that making them costs next to nothing; what it costs is measured and shown apart. The result is
summed up block by block. Its sum must be that of the pooled values, or the script fails: each
maximum is put back once. With ``--zarr FOLDER`` the array is written to a store first and read from
it, and the result goes to a second one: twice the size on disk, uncompressed.

The limit is RLIMIT_AS, set before anything is imported: it counts every mapping, touched or not, so
no library can go round it. RLIMIT_DATA would leave out files that are mapped, and RLIMIT_RSS does
nothing on Linux. The peak is VmHWM, what was really in memory.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TARGET = 0.7
N_SHIFTS = 8
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


# --- in a process of its own ---------------------------------------------------------------------


def limit_memory(gigabytes: float) -> None:
    """Let this process have no more memory from here on."""
    import resource

    most = int(gigabytes * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def memory_peaks() -> dict[str, float]:
    """Return the peaks of this process in GB: in memory, and mapped."""
    found = {}
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name in ("VmHWM", "VmPeak"):
            found[name] = int(value.split()[0]) * 1024 / 1e9
    return {"peak_gb": found["VmHWM"], "mapped_gb": found["VmPeak"]}


class Blocks:
    """The blocks of the logical array: views of one that is a little larger."""

    def __init__(self, block: Sequence[int]) -> None:
        import numpy as np

        n, c, h, w = block
        rng = np.random.default_rng(0)
        self._base = rng.random((n, c + N_SHIFTS, h, w), dtype=np.float32)
        self._channels = c

    def __call__(self, number: int) -> Any:
        """Return a block."""
        shift = number % N_SHIFTS
        return self._base[:, shift : shift + self._channels]


def reference(options: argparse.Namespace) -> dict[str, Any]:
    """Return the rate of NumPy on blocks, one after the other, on one thread."""
    import unpool_xp as ux

    blocks, nbytes = Blocks(options.block), math.prod(options.block) * 4

    def once(number: int) -> None:
        values, indices = ux.max_pool(blocks(number), 2)
        total = ux.max_unpool(values, indices, 2).sum(dtype="float64")
        assert math.isclose(total, values.sum(dtype="float64"), rel_tol=1e-9)

    once(0)
    seconds: list[float] = []
    while sum(seconds) < options.seconds or len(seconds) < 5:
        start = time.perf_counter()
        once(len(seconds))
        seconds.append(time.perf_counter() - start)
    return {
        "gb_s": nbytes / statistics.median(seconds) / 1e9,
        "calls": len(seconds),
        **memory_peaks(),
    }


def out_of_core(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the whole array takes on Dask, under the limit."""
    limit_memory(options.limit)
    import dask
    import dask.array as da

    import unpool_xp as ux

    blocks, grid = Blocks(options.block), options.grid
    chunks = [(size,) * many for size, many in zip(options.block, grid, strict=True)]

    def make(block_info: Any) -> Any:
        place, number = block_info[None]["chunk-location"], 0
        for at, many in zip(place, grid, strict=True):
            number = number * many + at
        return blocks(number)

    def timed(*lazy: Any) -> tuple[float, list[float]]:
        start = time.perf_counter()
        found = dask.compute(*lazy, scheduler="threads", num_workers=options.cores)
        return time.perf_counter() - start, [float(one) for one in found]

    source = da.map_blocks(make, chunks=chunks, dtype="float32", meta=blocks(0)[:0])
    answer: dict[str, Any] = {"gb": source.nbytes / 1e9, "chunks": math.prod(source.numblocks)}
    if options.zarr is None:
        values, indices = ux.max_pool(source, 2)
        restored = ux.max_unpool(values, indices, 2)
        lazy = [restored.sum(dtype="float64"), values.sum(dtype="float64")]
        answer["source_s"] = timed(source.sum(dtype="float64"))[0]
        answer["tasks"] = len(dict(dask.base.collections_to_expr(lazy).__dask_graph__()))
        answer["seconds"], sums = timed(*lazy)
    else:
        answer |= through_zarr(options, source, timed)
        sums = answer.pop("sums")
    answer["right"] = math.isclose(*sums, rel_tol=1e-9)
    answer["gb_s"] = answer["gb"] / answer["seconds"]
    return {**answer, **memory_peaks()}


def through_zarr(options: argparse.Namespace, source: Any, timed: Any) -> dict[str, Any]:
    """Write the array to a store, and from there pooled and unpooled to another."""
    import dask
    import dask.array as da
    import zarr

    import unpool_xp as ux

    with (
        tempfile.TemporaryDirectory(dir=options.zarr) as folder,
        dask.config.set(scheduler="threads", num_workers=options.cores),
    ):
        room = shutil.disk_usage(folder).free
        if room < 2.1 * source.nbytes:
            sys.exit(f"--zarr {options.zarr}: needs {2.1 * source.nbytes / 1e9:.1f} GB, has {room}")

        def store(name: str, array: Any) -> tuple[Any, float]:
            target = zarr.create_array(
                f"{folder}/{name}",
                shape=array.shape,
                chunks=array.chunksize,
                dtype=array.dtype,
                compressors=None,
            )
            start = time.perf_counter()
            da.store(array, target, lock=False)
            return da.from_array(target, chunks=target.chunks), time.perf_counter() - start

        stored, source_s = store("source.zarr", source)
        values, indices = ux.max_pool(stored, 2)
        restored, seconds = store("restored.zarr", ux.max_unpool(values, indices, 2))
        sums = timed(restored.sum(dtype="float64"), values.sum(dtype="float64"))[1]
    return {"source_s": source_s, "seconds": seconds, "sums": sums}


# --- around it -----------------------------------------------------------------------------------


def run_part(part: str, arguments: Sequence[str], many: int = 1) -> list[dict[str, Any]]:
    """Run a part in so many processes at once, each library on one thread."""
    command = [sys.executable, __file__, *arguments, "--part", part]
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(many)
    ]
    answers = []
    for process in running:
        output, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{part} ended with exit code {process.returncode}")
        answers.append(json.loads(output.splitlines()[-1]))
    return answers


def measure(options: argparse.Namespace, arguments: Sequence[str]) -> dict[str, Any]:
    """Return all that is measured, the parts one after the other."""
    before = run_part("reference", arguments)[0]
    run = run_part("out_of_core", arguments)[0]
    after = run_part("reference", arguments)[0]
    at_once = run_part("reference", arguments, options.cores)
    numpy = statistics.mean([before["gb_s"], after["gb_s"]])
    return {
        "cores": options.cores,
        "limit_gb": options.limit,
        "block": options.block,
        "zarr": options.zarr is not None,
        "run": run,
        "numpy_before": before,
        "numpy_after": after,
        "numpy_at_once": at_once,
        "share_of_numpy_a_core": run["gb_s"] / options.cores / numpy,
        "share_of_numpy_at_once": run["gb_s"] / sum(one["gb_s"] for one in at_once),
        "target": TARGET,
        "load": os.getloadavg()[0],
    }


def print_table(found: dict[str, Any]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    run, cores = found["run"], found["cores"]
    table = Table("", "GB", "s", "GB/s", "GB/s a core", "peak GB", "mapped GB")

    def line(name: str, gb: str, s: str, rate: float, by: int, peaks: dict[str, Any]) -> None:
        numbers = (rate, rate / by, peaks["peak_gb"], peaks["mapped_gb"])
        table.add_row(name, gb, s, *(f"{number:.3f}" for number in numbers))

    line(
        "NumPy, one thread, before", "", "", found["numpy_before"]["gb_s"], 1, found["numpy_before"]
    )
    whole = f"Dask, {cores} threads, {found['limit_gb']:g} GB"
    line(whole, f"{run['gb']:.1f}", f"{run['seconds']:.1f}", run["gb_s"], cores, run)
    line("NumPy, one thread, after", "", "", found["numpy_after"]["gb_s"], 1, found["numpy_after"])
    at_once = found["numpy_at_once"]
    line(f"NumPy, {cores} at once", "", "", sum(one["gb_s"] for one in at_once), cores, at_once[0])
    console = Console(width=110)
    console.print(table)
    made = "writing it to Zarr" if found["zarr"] else "making and summing the array alone"
    console.print(f"{run['chunks']} chunks of {found['block']}; {made}: {run['source_s']:.1f} s")
    share, beside = found["share_of_numpy_a_core"], found["share_of_numpy_at_once"]
    if found["zarr"]:  # whose reading and writing NumPy does not do
        rate = run["gb"] / run["source_s"]
        console.print(f"{share:.0%} of NumPy's rate a core; writing alone reaches {rate:.3f} GB/s")
    else:
        met = "met" if share >= TARGET else "missed"
        console.print(f"{share:.0%} of NumPy's rate a core, target {TARGET:.0%}: {met}")
    console.print(f"{beside:.0%} of what as many NumPys reach at once, which share the memory")
    if found["load"] > cores + 1:
        console.print(
            f"load {found['load']:.1f}: something else runs here, so the rates say little"
        )


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, and the grid of blocks that they ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=40.0, help="GB of the logical array")
    parser.add_argument("--limit", type=float, default=3.0, help="GB of memory for the process")
    parser.add_argument("--cores", type=int, default=2, help="threads of Dask")
    parser.add_argument("--block", default="1x16x512x512", help="shape of a chunk, float32")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds for each run of NumPy")
    parser.add_argument("--zarr", help="folder on the disk for Zarr arrays")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--part", choices=("reference", "out_of_core"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.block = [int(size) for size in options.block.split("x")]
    if len(options.block) != 4 or any(size < 2 or size % 2 for size in options.block[2:]):
        parser.error(f"--block {options.block}: four sizes such as 1x16x512x512, the last two even")
    if options.zarr is not None and not Path(options.zarr).is_dir():
        parser.error(f"--zarr {options.zarr}: no such folder")
    # Pictures of two by two blocks, and as many of them as it takes.
    pictures = math.ceil(options.gigabytes * 1e9 / (math.prod(options.block) * 4 * 4))
    options.grid = (max(pictures, 1), 1, 2, 2)
    return options


def main(arguments: Sequence[str]) -> int:
    """Measure and print; exit 1 where the limit or the sum does not hold."""
    options = parse_arguments(arguments)
    if options.part:
        print(
            json.dumps({"reference": reference, "out_of_core": out_of_core}[options.part](options))
        )
        return 0
    found = measure(options, arguments)
    if found["run"]["peak_gb"] > options.limit or not found["run"]["right"]:
        print(f"failed: {found['run']}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print_table(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
