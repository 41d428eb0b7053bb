"""What a cluster costs: bytes between workers, and tasks per second that the scheduler hands out.

``python benchmarks/dask/cluster_cost.py`` starts a LocalCluster of processes. It pools and
interpolates an array that lies on the workers, with windows that reach into other chunks, and adds
up what the workers sent each other, beside the strips that docs/out_of_core.rst says would travel
if no two neighbours lay on one worker. Then it counts tasks per second on chunks so small that
little but the scheduling takes time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import distributed
from distributed import wait

import unpool_xp as ux


def bytes_sent(dask_worker: Any) -> int:
    """Return the bytes that a worker has sent to others."""
    return sum(transfer["total"] for transfer in dask_worker.transfer_outgoing_log)


def traffic(client: distributed.Client, side: int, grid: int) -> None:
    """Print what travels between the workers, as a share of the input."""
    cells = side * grid
    x = da.zeros((1, 4, cells, cells), chunks=(1, 4, side, side), dtype="float32").persist()
    wait(x)
    # Rows or columns that a chunk needs from beside it, of which each lies at an inner border.
    calls: dict[str, tuple[Callable[[], Any], float]] = {
        "max_pool 2x2": (lambda: ux.max_pool(x, 2).values, 0),
        "max_pool 3x3, stride 2": (lambda: ux.max_pool(x, 3, stride=2).values, 1),
        "avg_pool 3x3, stride 1": (lambda: ux.avg_pool(x, 3, stride=1, padding=1), 2),
        "avg_pool 9x9, stride 1": (lambda: ux.avg_pool(x, 9, stride=1, padding=4), 8),
        "linear_unpool by 2": (lambda: ux.linear_unpool(x, 2), 1),
    }
    print(f"\n{grid}x{grid} chunks of 4x{side}x{side} float32, {x.nbytes / 1e6:.0f} MB\n")
    print("| operation | MB between workers | of the input | all strips |")
    print("| --- | --: | --: | --: |")
    for name, (make, rows) in calls.items():
        before = sum(client.run(bytes_sent).values())
        wait(client.persist(make()))
        travelled = sum(client.run(bytes_sent).values()) - before
        most = 2 * rows / side * (grid - 1) / grid
        print(
            f"| {name} | {travelled / 1e6:.2f} | {travelled / x.nbytes:.2%} | {most:.2%} |",
            flush=True,
        )


def rate(client: distributed.Client, tasks: int) -> None:
    """Print how many small tasks per second are handed out and done."""
    print("\n| tasks | what | tasks per second |")
    print("| --: | --- | --: |")
    numbers = da.zeros((tasks, 2, 2), chunks=(1, 2, 2), dtype="float32").persist()
    wait(numbers)
    for name, made in {
        "map_blocks": numbers.map_blocks(abs, dtype=numbers.dtype),
        "max_pool + max_unpool": ux.max_unpool(*ux.max_pool(numbers[:, None], 2), 2),
    }.items():
        count = len(dict(made.__dask_graph__())) - tasks
        start = time.perf_counter()
        wait(client.persist(made, optimize_graph=False))
        print(f"| {count:,} | {name} | {count / (time.perf_counter() - start):,.0f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=512, help="rows and columns of a chunk")
    parser.add_argument("--grid", type=int, default=8, help="chunks along each axis")
    parser.add_argument("--tasks", type=int, default=10_000)
    options = parser.parse_args()
    with (
        distributed.LocalCluster(
            n_workers=options.workers, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        traffic(client, options.side, options.grid)
        rate(client, options.tasks)


if __name__ == "__main__":
    main()
