"""What a NumPy user might take instead, with the same arrays: ``python -m benchmarks.peers``.

ONNX Runtime, OpenCV, scikit-image, scipy.ndimage and Pillow beside unpool_xp on NumPy, with one
worker and with as many as there are cores, in one process and in turns. A result that differs from
ours has no time.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import unpool_xp as ux
from tests.support.onnx_models import prepare
from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.cases.formatting import seconds_text, three_digits
from unpool_xp.bench.measure.timer import TimedCall, to_and_fro

ROUNDS = 6
REST_SECONDS = 20e-3  # until the threads of the one before have ceased to wait for more work
BATCHES = ((1, 16, 32, 32), (2, 32, 64, 64), (4, 64, 112, 112))
IMAGE, SMALL_IMAGE = (1080, 1920), (54, 96)
Call = Callable[[], Any]


@dataclass(frozen=True)
class Question:
    """One task, what we do for it, and what others do.

    Attributes
    ----------
    name : str
        The operation and its settings.
    shape : tuple of int
        Of the array that is pooled, or that an unpooling takes.
    ours : callable
        Of no arguments.
    theirs : dict of str to callable
        The same by the function of somebody else's library.
    tolerance : float
        By how much of the largest magnitude results may differ.
    """

    name: str
    shape: tuple[int, ...]
    ours: Call
    theirs: dict[str, Call]
    tolerance: float = 1e-5


def _onnx(operator: str, *inputs: Any, **attributes: Any) -> Call:
    """Return a call of one node of ONNX Runtime; all inputs but the first are its constants."""
    return prepare(operator, *inputs, threads=usable_cores(), **attributes)


def _resize(x: Any, mode: str, coordinates: str, **options: Any) -> Call:
    scales = np.asarray([1, 1, 2, 2], np.float32)
    kinds = {"mode": mode, "coordinate_transformation_mode": coordinates, **options}
    return _onnx("Resize", x, None, scales, **kinds)


def batches(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[Question]:
    """Yield the questions about a batch of images with channels."""
    x = rng.standard_normal(shape, dtype=np.float32)
    half = np.ascontiguousarray(x[..., ::2, ::2])
    channels = shape[1]
    pooled = ux.max_pool(x, 2)
    # Its positions count through the whole batch, and its MaxUnpool takes them as an input.
    whole = ux.convert_indices(pooled.indices, "torch", "onnx", input_shape=shape)
    rt = "onnxruntime"
    two, three = {"kernel_shape": [2, 2], "strides": [2, 2]}, {"kernel_shape": [3, 3]}
    three |= {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    yield Question(
        "max_pool 2",
        shape,
        lambda: ux.max_pool(x, 2).values,
        {rt: _onnx("MaxPool", x, **two)},
    )
    yield Question(
        "max_pool 3/2",
        shape,
        lambda: ux.max_pool(x, 3, stride=2, padding=1).values,
        {rt: _onnx("MaxPool", x, **three)},
    )
    yield Question(
        "avg_pool 2", shape, lambda: ux.avg_pool(x, 2), {rt: _onnx("AveragePool", x, **two)}
    )
    unpool = _onnx("MaxUnpool", pooled.values, whole, **two)
    yield Question("max_unpool 2", shape, lambda: ux.max_unpool(*pooled, 2), {rt: unpool})
    yield Question(
        "nearest_unpool 2",
        half.shape,
        lambda: ux.nearest_unpool(half, 2),
        {rt: _resize(half, "nearest", "asymmetric", nearest_mode="floor")},
    )
    yield Question(
        "linear_unpool 2",
        half.shape,
        lambda: ux.linear_unpool(half, 2, coordinates="half_pixel"),
        {rt: _resize(half, "linear", "half_pixel")},
    )
    yield Question(
        "cubic_unpool 2",
        half.shape,
        lambda: ux.cubic_unpool(half, 2),
        {rt: _resize(half, "cubic", "half_pixel")},
    )
    for kernel, padding in ((2, 0), (4, 1)):
        weight = rng.standard_normal((channels, channels, kernel, kernel), dtype=np.float32)
        convolve = _onnx("ConvTranspose", half, weight, strides=[2, 2], pads=[padding] * 4)
        yield Question(
            f"conv_transpose {kernel}/2",
            half.shape,
            lambda w=weight, p=padding: ux.conv_transpose(half, w, stride=2, padding=p),  # type: ignore[misc]
            {rt: convolve},
        )


def images(shape: tuple[int, int], rng: np.random.Generator) -> Iterator[Question]:
    """Yield the questions about one image without channels."""
    import PIL.Image
    import scipy.ndimage
    import skimage.measure
    import skimage.transform

    x = rng.standard_normal(shape, dtype=np.float32)
    half = np.ascontiguousarray(x[::2, ::2])
    size = shape[::-1]
    picture, half_picture = PIL.Image.fromarray(x), PIL.Image.fromarray(half)
    resampling = PIL.Image.Resampling
    zoom = {"mode": "nearest", "grid_mode": True}

    def rescale(order: int) -> Call:
        return lambda: skimage.transform.resize(
            half, shape, order=order, mode="edge", anti_aliasing=False, clip=False
        )

    def pillow(kind: int) -> Call:
        return lambda: np.asarray(half_picture.resize(size, kind))

    yield Question(
        "max_pool 2",
        shape,
        lambda: ux.max_pool(x, (2, 2)).values,
        {
            "skimage block_reduce": lambda: skimage.measure.block_reduce(x, 2, np.max),
            "scipy maximum_filter": lambda: scipy.ndimage.maximum_filter(x, 2)[1::2, 1::2],
        },
    )
    yield Question(
        "avg_pool 2",
        shape,
        lambda: ux.avg_pool(x, (2, 2)),
        {
            "skimage block_reduce": lambda: skimage.measure.block_reduce(x, 2, np.mean),
            "PIL reduce": lambda: np.asarray(picture.reduce(2)),
            **_opencv(lambda cv2: cv2.resize(x, size_of(half), interpolation=cv2.INTER_AREA)),
        },
    )
    yield Question(
        "nearest_unpool 2",
        half.shape,
        lambda: ux.nearest_unpool(half, (2, 2)),
        {
            "skimage resize": rescale(0),
            "scipy zoom": lambda: scipy.ndimage.zoom(half, 2, order=0, **zoom),
            "PIL resize": pillow(resampling.NEAREST),
            **_opencv(lambda cv2: cv2.resize(half, size, interpolation=cv2.INTER_NEAREST)),
        },
    )
    yield Question(
        "linear_unpool 2",
        half.shape,
        lambda: ux.linear_unpool(half, (2, 2), coordinates="half_pixel"),
        {
            "skimage resize": rescale(1),
            "scipy zoom": lambda: scipy.ndimage.zoom(half, 2, order=1, **zoom),
            "PIL resize": pillow(resampling.BILINEAR),
            **_opencv(lambda cv2: cv2.resize(half, size, interpolation=cv2.INTER_LINEAR)),
        },
    )
    yield Question(
        "linear_unpool 1.7",
        half.shape,
        lambda: ux.linear_unpool(half, output_size=large(half), coordinates="half_pixel"),
        _opencv(lambda cv2: cv2.resize(half, large(half)[::-1], interpolation=cv2.INTER_LINEAR)),
        1e-3,  # it rounds places and weights
    )
    yield Question(
        "cubic_unpool 2",
        half.shape,
        lambda: ux.cubic_unpool(half, (2, 2)),
        _opencv(lambda cv2: cv2.resize(half, size, interpolation=cv2.INTER_CUBIC)),
    )
    yield Question(
        "cubic_unpool 2 a -0.5",
        half.shape,
        lambda: ux.cubic_unpool(half, (2, 2), coefficient=-0.5, exclude_outside=True),
        {"PIL resize": pillow(resampling.BICUBIC)},
    )


def size_of(x: Any) -> tuple[int, int]:
    """Return width and height."""
    return x.shape[::-1]  # type: ignore[no-any-return]


def large(x: Any) -> tuple[int, int]:
    """Return the shape that is 1.7 times as large."""
    return tuple(math.floor(n * 1.7) for n in x.shape)  # type: ignore[return-value]


def _opencv(call: Callable[[Any], Any]) -> dict[str, Call]:
    """Return what OpenCV does, where it is installed."""
    try:
        import cv2
    except ImportError:
        return {}
    cv2.setNumThreads(usable_cores())
    return {"cv2 resize": lambda: call(cv2)}


@dataclass(frozen=True)
class Answer:
    """What a question came to: our seconds with one worker and with all, and those of a peer.

    Attributes
    ----------
    question : Question
        What was asked.
    peer : str
        Whose function it is.
    reason : str
        Why there is no time; empty if there is a time.
    seconds : dict of str to list of float
        Samples of "one", "all" and "peer".
    """

    question: Question
    peer: str
    reason: str
    seconds: dict[str, list[float]]

    def ratio(self, ours: str) -> float:
        """Return the median of our time over theirs within a round."""
        pairs = zip(self.seconds[ours], self.seconds["peer"], strict=True)
        return statistics.median(a / b for a, b in pairs)


def answer(question: Question, rounds: int) -> Iterator[Answer]:
    """Compare the results of a question, then time it in turns."""
    wanted = question.ours()
    for peer, call in question.theirs.items():
        got = call()
        got = got[0] if isinstance(got, list) else got
        largest = max(float(np.abs(wanted).max()), 1.0)
        if got.shape != wanted.shape:
            yield Answer(question, peer, f"its shape is {got.shape}", {})
            continue
        worst = float(np.abs(got - wanted).max()) / largest
        if worst > question.tolerance:
            yield Answer(question, peer, f"differs by {worst:.2g} of the largest", {})
            continue
        yield Answer(question, peer, "", _times(question.ours, call, rounds))


def _times(ours: Call, theirs: Call, rounds: int) -> dict[str, list[float]]:
    timed = {name: TimedCall(ours, (), _ready) for name in ("one", "all")}
    timed["peer"] = TimedCall(theirs, (), _ready)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds):
        for name in to_and_fro(list(timed), number):
            time.sleep(REST_SECONDS)
            with ux.set_workers(usable_cores() if name == "all" else 1):
                timed[name].warm_up()
                seconds[name].append(timed[name].sample())
    return seconds


def _ready(*outputs: Any) -> None:
    """NumPy's arrays are there when a call returns."""


def table_of(answers: list[Answer]) -> Table:
    """Return the table of all answers, and the geometric means by peer."""
    cores = usable_cores()
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("beside")
    for name in ("theirs", "ours", "ours /\ntheirs", f"{cores} workers\n/ theirs"):
        table.add_column(name, justify="right")
    shape: tuple[int, ...] = ()
    for one in answers:
        if one.question.shape != shape:
            shape = one.question.shape
            table.add_row(f"[bold]{'x'.join(map(str, shape))}[/]")
        cells = [one.question.name, one.peer]
        if one.reason:
            table.add_row(*cells, "-")
            continue
        medians = [seconds_text(statistics.median(one.seconds[name])) for name in ("peer", "one")]
        table.add_row(*cells, *medians, *(three_digits(one.ratio(n)) for n in ("one", "all")))
    table.add_section()
    for library in dict.fromkeys(one.peer.split()[0] for one in answers):
        its = [one for one in answers if one.peer.split()[0] == library and one.seconds]
        if its:
            means = [
                three_digits(statistics.geometric_mean([one.ratio(ours) for one in its]))
                for ours in ("one", "all")
            ]
            table.add_row(f"geometric mean of {len(its)}", library, "", "", *means)
    return table


def report(answers: list[Answer]) -> int:
    """Print the table and what differs; return 1 where anything does."""
    console = Console(highlight=False)
    console.print(table_of(answers))
    differing = [one for one in answers if one.reason]
    for one in differing:
        console.print(f"{one.question.name}, {one.peer}: {one.reason}", markup=False)
    return int(bool(differing))


def main(words: Sequence[str] | None = None) -> int:
    """Ask all questions; return 1 where a result differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--small", action="store_true", help="only the smallest arrays")
    arguments = parser.parse_args(words)
    rng = np.random.default_rng(0)
    shapes = BATCHES[: 1 if arguments.small else None]
    questions = [question for shape in shapes for question in batches(shape, rng)]
    questions += images(SMALL_IMAGE if arguments.small else IMAGE, rng)
    return report([one for question in questions for one in answer(question, arguments.rounds)])


if __name__ == "__main__":
    sys.exit(main())
