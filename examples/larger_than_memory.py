"""Pictures that do not fit into memory
====================================

A stack of pictures in a Zarr store is larger than the memory that this process allows itself. It is
pooled by 2x2 into a second store, brought back into a third, and compared with the original. Dask
reads, computes and writes chunk by chunk, so only a few chunks are in memory at a time.

``--scheduler processes`` uses workers of dask.distributed instead of threads; each worker then has
its own part of the memory. :doc:`/out_of_core` has the background.
"""

# %%
import argparse
import contextlib
import functools
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import dask
import dask.array as da
import distributed
import numpy as np
import psutil
import zarr
from dask.diagnostics import ProgressBar
from skimage.io import imread

import unpool_xp as ux

parser = argparse.ArgumentParser()
parser.add_argument("--pictures", type=int, default=300)
parser.add_argument("--limit", type=int, default=150, help="MB beside what the imports take")
parser.add_argument("--scheduler", choices=("threads", "processes"), default="threads")
options = parser.parse_args()
SIZE, CHUNK = 512, (2, 1, 512, 512)  # two pictures, 2 MB
shape = (options.pictures, 1, SIZE, SIZE)

# %%
# The limit is the operating system's: an allocation beyond it fails. RLIMIT_DATA counts what is
# allocated, RLIMIT_AS would also count files and libraries that are only mapped. Linux has it;
# elsewhere the example runs without.


# %%
zarr.config.set({"threading.max_workers": 2})  # each thread's stack counts


def limit_memory(megabytes):
    if sys.platform != "linux":
        return
    import resource

    taken = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (taken + megabytes * 10**6,) * 2)


@contextlib.contextmanager
def scheduler(kind):
    if kind == "threads":
        limit_memory(options.limit)
        threads = dask.config.set(scheduler="threads", num_workers=2)
        with threads, ProgressBar(out=sys.stderr):
            yield
    else:
        # Each worker pauses and spills before it reaches its limit.
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, memory_limit="400MB", dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster),
        ):
            yield


def new_store(path, shape, chunks, dtype):
    return zarr.create_array(path, shape=shape, chunks=chunks, dtype=dtype)


def lazily(store):
    return da.from_array(store, chunks=store.chunks)  # else Dask chooses larger ones


# %%
# The stack is made chunk by chunk: two photographs, moved a little further in each picture.


# %%
@functools.cache
def photograph(name):
    pixels = imread(str(files("skimage") / "data" / name)).astype("float32") / 255
    height, width = pixels.shape
    return np.pad(pixels, ((0, SIZE - height), (0, SIZE - width)), mode="reflect")


def picture(number):
    name = ("camera.png", "coins.png")[number % 2]
    return np.roll(photograph(name), (3 * number, 5 * number), (0, 1))


def make_stack(path):
    stack = new_store(path, shape, CHUNK, "float32")
    for start in range(0, options.pictures, CHUNK[0]):
        numbers = range(start, min(start + CHUNK[0], options.pictures))
        stack[start : start + CHUNK[0]] = np.stack([picture(n) for n in numbers])[:, None]


# %%
# Nothing here differs from what it would be on arrays in memory: ``ux.max_pool`` takes a Dask array
# and gives two, and computes nothing until it is stored.


# %%
def pool(source, values_to, indices_to):
    pooled = ux.max_pool(source, 2)
    values = new_store(values_to, pooled.values.shape, (2, 1, 256, 256), source.dtype)
    indices = new_store(indices_to, pooled.indices.shape, (2, 1, 256, 256), pooled.indices.dtype)
    da.store([pooled.values, pooled.indices], [values, indices], lock=False)
    return lazily(values), lazily(indices)


def compare(name, restored, source):
    # Both are read once: the two means share their chunks.
    error, kept = ((restored - source) ** 2).mean(), (restored == source).mean()
    error, kept = dask.compute(error, kept)
    print(f"{name:16} PSNR {-10 * np.log10(error):5.2f} dB, {kept:.1%} of the pixels kept")


def main(folder):
    make_stack(folder / "stack.zarr")
    with scheduler(options.scheduler):
        source = lazily(zarr.open_array(folder / "stack.zarr", mode="r"))
        print(
            f"{len(source)} pictures, {source.nbytes / 1e6:.0f} MB in", source.npartitions, "chunks"
        )
        values, indices = pool(source, folder / "values.zarr", folder / "indices.zarr")
        restored = new_store(folder / "restored.zarr", shape, CHUNK, "float32")
        da.store(ux.max_unpool(values, indices, 2), restored, lock=False)
        compare("max_unpool", lazily(restored), source)
        compare("nearest_unpool", ux.nearest_unpool(values, 2), source)
    return source.nbytes / 1e6


# %%
if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        megabytes = main(Path(folder))
    times = megabytes / options.limit
    print(f"the stack is {times:.1f} times as large as what the memory limit left for it")

# %%
# It prints:
#
# .. literalinclude:: ../../examples/output/larger_than_memory.txt
#    :language: text
