"""Hold `choose` of a whole decoder to the same decoder in plain library code, timed by pyperf.

    python benchmarks/decoder_by_hand.py

Below are two decoders as people write them for NumPy, PyTorch and JAX, without unpool_xp. Each is
checked on the inputs that `choose` uses, then timed in processes of pyperf's own. `choose` measures
the same decoder, and each library's own functions for it are set beside the loop by hand: the times
are to agree, and the libraries to come in the same order.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyperf

from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import ExpectedOutputs
from unpool_xp.bench.cases.formatting import seconds_text
from unpool_xp.bench.catalog.presets import DECODERS
from unpool_xp.bench.measure.machine import this_machine

TOLERANCE = 0.1
PROCESSES, VALUES = 5, 6
BUDGET_SECONDS = 60.0  # of `choose` for a decoder
_WARM_SECONDS = 1.0
HOW = ("native", "portable")

# --- NumPy ---------------------------------------------------------------------------------------


def numpy_convolve(x: Any, weight: Any) -> Any:
    """Return a transposed convolution whose stride is its kernel, tap by tap."""
    batch, channels, height, width = x.shape
    _, made, rows, columns = weight.shape
    taps = weight.reshape(channels, -1).T @ x.reshape(batch, channels, -1)
    taps = taps.reshape(batch, made, rows, columns, height, width)
    y = np.zeros((batch, made, rows * height, columns * width), x.dtype)
    for i, j in itertools.product(range(rows), range(columns)):
        y[:, :, i::rows, j::columns] += taps[:, :, i, j]
    return y


def numpy_pool(x: Any) -> tuple[Any, Any]:
    """Return the maxima of windows of 2x2, and where they are in their planes."""
    batch, channels, height, width = x.shape
    windows = x.reshape(batch, channels, height // 2, 2, width // 2, 2).swapaxes(3, 4)
    windows = windows.reshape(batch, channels, height // 2, width // 2, 4)
    place = windows.argmax(-1)
    values = np.take_along_axis(windows, place[..., None], -1)[..., 0]
    corner = 2 * width * np.arange(height // 2)[:, None] + 2 * np.arange(width // 2)
    return values, corner + place // 2 * width + place % 2


def numpy_unpool(values: Any, indices: Any) -> Any:
    """Return maxima back in their places, with zeros around them."""
    batch, channels, height, width = values.shape
    y = np.zeros((batch, channels, 4 * height * width), values.dtype)
    flat = (batch, channels, -1)
    np.put_along_axis(y, indices.reshape(flat), values.reshape(flat), axis=-1)
    return y.reshape(batch, channels, 2 * height, 2 * width)


# --- PyTorch -------------------------------------------------------------------------------------


def torch_convolve(x: Any, weight: Any) -> Any:
    """Return a transposed convolution whose stride is its kernel."""
    import torch

    return torch.nn.functional.conv_transpose2d(x, weight, stride=weight.shape[2:])


def torch_pool(x: Any) -> Any:
    """Return the maxima of windows of 2x2, and where they are in their planes."""
    import torch

    return torch.nn.functional.max_pool2d(x, 2, return_indices=True)


def torch_unpool(values: Any, indices: Any) -> Any:
    """Return maxima back in their places, with zeros around them."""
    import torch

    return torch.nn.functional.max_unpool2d(values, indices, 2)


# --- JAX -----------------------------------------------------------------------------------------


def jax_convolve(x: Any, weight: Any) -> Any:
    """Return a transposed convolution whose stride is its kernel."""
    from jax import lax

    return lax.conv_transpose(
        x,
        weight,
        strides=weight.shape[2:],
        padding="VALID",
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
        transpose_kernel=True,
    )


def jax_pool(x: Any) -> tuple[Any, Any]:
    """Return the maxima of windows of 2x2, and where they are in their planes."""
    import jax.numpy as jnp

    batch, channels, height, width = x.shape
    windows = x.reshape(batch, channels, height // 2, 2, width // 2, 2).swapaxes(3, 4)
    windows = windows.reshape(batch, channels, height // 2, width // 2, 4)
    place = windows.argmax(-1)
    corner = 2 * width * jnp.arange(height // 2)[:, None] + 2 * jnp.arange(width // 2)
    return windows.max(-1), corner + place // 2 * width + place % 2


def jax_unpool(values: Any, indices: Any) -> Any:
    """Return maxima back in their places, with zeros around them."""
    import jax.numpy as jnp

    batch, channels, height, width = values.shape
    planes = batch * channels
    y = jnp.zeros((planes, 4 * height * width), values.dtype)
    rows = jnp.arange(planes)[:, None]
    y = y.at[rows, indices.reshape(planes, -1)].set(values.reshape(planes, -1))
    return y.reshape(batch, channels, 2 * height, 2 * width)


# --- the decoders --------------------------------------------------------------------------------

# By library: its convolution, its pooling, its unpooling.
STEPS: dict[str, tuple[Callable[..., Any], ...]] = {
    "numpy": (numpy_convolve, numpy_pool, numpy_unpool),
    "torch:cpu": (torch_convolve, torch_pool, torch_unpool),
    "jax:cpu": (jax_convolve, jax_pool, jax_unpool),
}


def unet(label: str, x: Any, *weights: Any) -> Any:
    """Run the four up-convolutions of U-Net (arXiv 1505.04597)."""
    convolve, _, _ = STEPS[label]
    for weight in weights:
        x = convolve(x, weight)
    return x


def segnet(label: str, x: Any, *weights: Any) -> Any:
    """Run the poolings of VGG16 and SegNet's unpoolings (arXiv 1511.00561).

    A 1x1 convolution stands for the convolutions of each stage at which the channels change.
    """
    convolve, pool, unpool = STEPS[label]
    x, first = pool(x)
    x, second = pool(convolve(x, weights[0]))
    x, third = pool(convolve(x, weights[1]))
    x, fourth = pool(convolve(x, weights[2]))
    x, fifth = pool(x)
    x = unpool(unpool(x, fifth), fourth)
    x = unpool(convolve(x, weights[3]), third)
    x = unpool(convolve(x, weights[4]), second)
    return unpool(convolve(x, weights[5]), first)


BY_HAND = {"unet": unet, "segnet": segnet}


def loop_by_hand(name: str, label: str, case: Case) -> Callable[[], None]:
    """Return a call of a decoder by hand on a library, checked and ready to be timed.

    Parameters
    ----------
    name : str
        A name in `BY_HAND`.
    label : str
        A label in `STEPS`.
    case : Case
        The decoder as `choose` measures it: its inputs, and what is to come out.

    Returns
    -------
    callable
        It returns when the result is there.

    Raises
    ------
    MismatchError
        If the result is not that of the reference.
    """
    backend, arrays = backends.load(label), case.arrays()
    function: Callable[..., Any] = functools.partial(BY_HAND[name], label)
    if label.startswith("jax"):
        function = backend.compile(function)
    inputs = [backend.asarray(array) for array in arrays.values()]
    backend.synchronize(*inputs)
    ExpectedOutputs(case, arrays).check(backend.to_numpy(function(*inputs)))
    return lambda: backend.synchronize(function(*inputs))


# --- times ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ByHand:
    """What a decoder takes with a library.

    Attributes
    ----------
    decoder, label : str
        Names in `BY_HAND` and `STEPS`.
    by_hand_s : float
        Seconds of the loop by hand: the median over the processes of each one's median.
    own_s : float or None
        What `choose` has for the fastest chain of the library's own functions.
    portable_s : float or None
        What it has for the portable functions.
    """

    decoder: str
    label: str
    by_hand_s: float
    own_s: float | None
    portable_s: float | None

    @property
    def ratio(self) -> float:
        """The time of `choose` over that by hand; NaN where it has none."""
        return math.nan if self.own_s is None else self.own_s / self.by_hand_s


def ranked_alike(found: Sequence[ByHand]) -> bool:
    """Return whether the libraries come in the same order, those within 10 % by hand aside.

    Parameters
    ----------
    found : sequence of ByHand
        Of one decoder. Where one has no time of `choose` there is no order.
    """
    times = [(one.by_hand_s, one.own_s) for one in found]
    return all(
        own is not None and other_own is not None and (by_hand < other) == (own < other_own)
        for (by_hand, own), (other, other_own) in itertools.combinations(times, 2)
        if own is None or other_own is None or max(by_hand / other, other / by_hand) > 1 + TOLERANCE
    )


def fastest(answer: Mapping[str, Any], label: str, implementation: str) -> float | None:
    """Return the seconds of the fastest of a backend in an answer of `choose --json`."""
    mode = "compiled" if label.startswith("jax") else "eager"
    mine = (label, mode, implementation)
    names = ("backend", "mode", "implementation")
    timed = (
        entry["seconds"]
        for entry in answer["ranking"]
        if tuple(entry[name] for name in names) == mine and entry["seconds"] is not None
    )
    return min(timed, default=None)


def ask_choose(decoder: str, budget: float) -> Mapping[str, Any]:
    """Return what `choose` says of a whole decoder on the libraries of `STEPS`."""
    labels = [part for label in STEPS for part in ("--backend", label)]
    command = ["choose", "--preset", decoder, *labels, "--budget", f"{budget:g}", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "unpool_xp", *command], stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer


def time_by_hand(runner: pyperf.Runner, decoder: str, label: str) -> float | None:
    """Return the seconds of a call, by processes of pyperf; None within one of them."""
    warm: list[Callable[[], None]] = []

    def seconds(loops: int) -> float:
        if not warm:  # in the process that times it alone
            warm.append(loop_by_hand(decoder, label, DECODERS[decoder]()))
            until = time.perf_counter() + _WARM_SECONDS
            while time.perf_counter() < until:
                warm[0]()
        start = pyperf.perf_counter()
        for _ in range(loops):
            warm[0]()
        return pyperf.perf_counter() - start

    with contextlib.redirect_stdout(sys.stderr):  # it prints what it found
        bench = runner.bench_time_func(f"{decoder} on {label}", seconds)
    if runner.args.worker or bench is None:
        return None
    return statistics.median(
        statistics.median(run.values) for run in bench.get_runs() if run.values
    )


def _print_table(found: Sequence[ByHand], tolerance: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="A whole decoder: a loop by hand, and what choose measures")
    for number, column in enumerate(
        ("decoder", "library", "by hand", "own", "/ by hand", "portable")
    ):
        table.add_column(column, justify="right" if number > 1 else "left")
    for one in sorted(found, key=lambda one: (one.decoder, one.by_hand_s)):
        own, portable = (
            "-" if seconds is None else seconds_text(seconds)
            for seconds in (one.own_s, one.portable_s)
        )
        mark = "" if is_within(one, tolerance) else " [red]off[/]"
        table.add_row(
            one.decoder,
            one.label,
            seconds_text(one.by_hand_s),
            own,
            f"{one.ratio:.2f}{mark}",
            portable,
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def is_within(one: ByHand, tolerance: float) -> bool:
    """Return whether the times agree."""
    return abs(one.ratio - 1) <= tolerance


def main() -> int:
    """Measure; return 1 where a time is off by more than the tolerance, or the order differs."""
    runner = pyperf.Runner(
        processes=PROCESSES,
        values=VALUES,
        warmups=1,
        program_args=(str(Path(__file__).resolve()),),
        add_cmdline_args=lambda command, args: command.extend(
            itertools.chain.from_iterable(("--decoder", name) for name in args.decoder)
        ),
    )
    add = runner.argparser.add_argument
    add("--decoder", action="append", choices=tuple(BY_HAND), default=[], help="default: both")
    add("--budget", type=float, default=BUDGET_SECONDS, help="seconds of choose per decoder")
    add("--tolerance", type=float, default=TOLERANCE, help="how much a ratio may differ from 1")
    add("--json", action="store_true", dest="as_json", help="print JSON instead of the table")
    args = runner.parse_args()
    args.inherit_environ = list(os.environ)  # the threads would be others
    if hasattr(os, "sched_getaffinity"):
        args.affinity = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    found = []
    for decoder in args.decoder or BY_HAND:
        by_hand = {label: time_by_hand(runner, decoder, label) for label in STEPS}
        if args.worker:
            continue
        answer = ask_choose(decoder, args.budget)
        found += [
            ByHand(decoder, label, seconds, *(fastest(answer, label, how) for how in HOW))
            for label, seconds in by_hand.items()
            if seconds is not None
        ]
    if args.worker:
        return 0
    orders = {
        decoder: ranked_alike([*same])
        for decoder, same in itertools.groupby(found, key=attrgetter("decoder"))
    }
    if args.as_json:
        output = {
            "machine": this_machine().to_json(),
            "decoders": [asdict(one) | {"ratio": one.ratio} for one in found],
            "ranked_alike": orders,
        }
        print(json.dumps(output, indent=2))
    else:
        _print_table(found, args.tolerance)
        for decoder, alike in orders.items():
            print(f"{decoder}: the libraries come in {'the same' if alike else 'another'} order")
    return int(not (all(orders.values()) and all(is_within(one, args.tolerance) for one in found)))


if __name__ == "__main__":
    sys.exit(main())
