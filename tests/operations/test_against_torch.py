"""Equal to PyTorch over thousands of generated argument sets, in one, two and three dimensions.

The operations are compared, and so is the reference that they are checked against elsewhere.

A set is drawn from a generator of its own; a message prints all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- its name everywhere

import unpool_xp as ux
from tests.support.closeness import assert_close
from tests.support.strategies import real_values, values
from unpool_xp import reference

SETS = {"unpool_xp": 1000, "reference": 100}  # an operation and rank; the reference is slow
LEAST_ACCEPTED = 0.9  # of them by PyTorch, so that a test cannot skip its way through
HALF_SETS = 100  # an operation, rank and dtype
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
BOTH = pytest.mark.parametrize("of", list(SETS))
REAL = (*("float64", "float32", "float16") * 3, "int64", "int32", "int8", "uint8")
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}

Rng = np.random.Generator
Ints = tuple[int, ...]


@dataclass(frozen=True)
class Arguments:
    """One argument set: what both get, then our options and PyTorch's."""

    arrays: tuple[np.ndarray, ...]
    options: dict[str, Any]
    native: dict[str, Any]
    kept: np.ndarray | None = None  # which cells to compare; None: all

    def __str__(self) -> str:
        # Lists, not arrays: they can be pasted back.
        arrays = [f"np.asarray({a.tolist()}, dtype={a.dtype.name!r})" for a in self.arrays]
        return f"arrays = {', '.join(arrays)}\nours = {self.options}\nPyTorch's = {self.native}"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Arrays this small leave nothing for a second thread but to be waited for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


Draw = Callable[[Rng, int], Arguments]
Hold = Callable[[np.ndarray, np.ndarray], None]


def native(operation: str, rank: int) -> Callable[..., Any]:
    """Return PyTorch's function, which may be another for each rank."""
    resizes = operation in ("nearest_unpool", "linear_unpool")
    return F.interpolate if resizes else getattr(F, f"{operation}{rank}d")


def tensors(arguments: Arguments) -> list[torch.Tensor]:
    return [torch.from_numpy(array.copy()) for array in arguments.arrays]


def many(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


def exactly(got: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_array_equal(got, wanted, strict=True)


def closely(got: np.ndarray, wanted: np.ndarray) -> None:
    assert_close(got, wanted)


def by_reference(operation: str, arguments: Arguments, plane: Ints) -> Any:
    """Return the reference's result, whose arguments are all given; it has no sizes to work out."""
    function, arrays = getattr(reference, operation), arguments.arrays
    options = arguments.native if operation == "conv_transpose" else arguments.options
    padding = tuple((p, p) for p in options.get("padding", ()))
    if operation in ("max_pool", "avg_pool"):
        kernel = options["kernel_size"]
        dilation = options.get("dilation", (1,) * len(kernel))
        given = (kernel, options.get("stride", kernel), padding, dilation, options["ceil_mode"])
        more = (options["count_include_pad"],) if operation == "avg_pool" else ()
        return function(*arrays, *given, *more)
    if operation == "fractional_max_pool":
        return function(*arrays, options["kernel_size"], plane, options["samples"])
    if operation == "max_unpool":
        return function(*arrays, plane, "any")
    if operation == "conv_transpose":
        x, *weights = arrays  # of any number of leading axes; the reference knows a batch alone
        batch = x.reshape((-1, *x.shape[-len(plane) - 1 :]))
        found = function(batch, *weights, **options | {"padding": padding})
        return found.reshape((*x.shape[: -len(plane) - 1], *found.shape[1:]))
    return function(*arrays, **options)


def run(of: str, operation: str, arguments: Arguments, plane: Ints) -> list[np.ndarray]:
    """Return the arrays that the operation or its reference gives."""
    if of == "reference":
        return many(by_reference(operation, arguments, plane))
    found = many(getattr(ux, operation)(*tensors(arguments), **arguments.options))
    assert all(isinstance(one, torch.Tensor) for one in found)
    return [one.numpy() for one in found]


def compare(
    of: str, operation: str, draw: Draw, rank: int, hold: Hold, theirs: Any = None
) -> Counter[str]:
    """Hold the two together over all sets; return what was met how often."""
    theirs = theirs or native(operation, rank)
    met: Counter[str] = Counter()
    for number in range(SETS[of]):
        arguments = draw(np.random.default_rng((rank, number)), rank)
        try:
            wanted = many(theirs(*tensors(arguments), **arguments.native))
        except RuntimeError as refusal:
            met[f"refused: {refusal}"] += 1
            continue
        try:
            got = run(of, operation, arguments, tuple(wanted[0].shape[-rank:]))
            for pair in zip(got, (other.numpy() for other in wanted), strict=True):
                assert pair[0].shape == pair[1].shape, f"shape {pair[0].shape} != {pair[1].shape}"
                hold(*(pair if arguments.kept is None else (a[..., arguments.kept] for a in pair)))
        except Exception as error:
            raise AssertionError(f"set {number} of rank {rank}\n{arguments}\n{error}") from error
        met["accepted"] += 1
        if wanted[0].is_floating_point():
            met["nan"] += bool(wanted[0].isnan().any())
            met["-inf"] += bool((wanted[0] == -torch.inf).any())
        for name, value in arguments.options.items():
            met[f"{name}={value}"] += 1
    assert met["accepted"] >= LEAST_ACCEPTED * SETS[of], met
    return met


# --- drawing -------------------------------------------------------------------------------------


def ints(rng: Rng, rank: int, low: int, high: int) -> Ints:
    """Return one int from low to high, both included, for each axis."""
    return tuple(rng.integers(low, high + 1, rank).tolist())


def each(rng: Rng, highs: Ints) -> Ints:
    """Return one int from 0 to its own high, included, for each axis."""
    return tuple(int(rng.integers(0, high + 1)) for high in highs)


def coin(rng: Rng) -> bool:
    return bool(rng.integers(2))


def array(rng: Rng, shape: Ints, dtype: str = "float64") -> np.ndarray:
    """Return values without ties, or few different ones, or those with NaN and infinities."""
    seed, kind = int(rng.integers(2**31)), int(rng.integers(3))
    if kind == 0 and dtype.startswith("float"):
        return real_values(shape, seed, dtype)
    return values(shape, dtype, seed, special=kind == 1)


def lead(rng: Rng) -> Ints:
    """Return the leading axes: channels alone, or a batch of them."""
    return ints(rng, int(rng.integers(1, 3)), 1, 2)


def windows(rng: Rng, rank: int, *, dilated: bool) -> tuple[Ints, dict[str, Any]]:
    """Return a shape, and options of a pooling within PyTorch's limit of the padding."""
    kernel, stride = ints(rng, rank, 1, 4), ints(rng, rank, 1, 4)
    dilation = ints(rng, rank, 1, 3) if dilated else (1,) * rank
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    # PyTorch's limit is half of the kernel, however far its dilation spreads it.
    padding = each(rng, tuple(k // 2 for k in kernel))
    # An axis at least as long as the dilation: no window can step over all of it. PyTorch's
    # avg_pool3d refuses a kernel longer than the axis, with padding too.
    least = zip(extents, padding, dilation, strict=True)
    shortest = [max(e if rank == 3 and not dilated else e - 2 * p, d) for e, p, d in least]
    plane = tuple(low + int(rng.integers(0, 6)) for low in shortest)
    options: dict[str, Any] = {"kernel_size": kernel, "padding": padding, "ceil_mode": coin(rng)}
    if coin(rng):
        options["stride"] = stride
    if dilated:
        options["dilation"] = dilation
    return (*lead(rng), *plane), options


# --- pooling -------------------------------------------------------------------------------------


def draw_max_pool(rng: Rng, rank: int) -> Arguments:
    shape, options = windows(rng, rank, dilated=True)
    x = array(rng, shape, str(rng.choice(REAL)))
    return Arguments((x,), options, options | {"return_indices": True})


@BOTH
@RANKS
def test_max_pool(rank: int, of: str) -> None:
    met = compare(of, "max_pool", draw_max_pool, rank, exactly)
    assert min(met["nan"], met["-inf"], met["ceil_mode=True"]) >= 0.05 * SETS[of], met


def draw_avg_pool(rng: Rng, rank: int) -> Arguments:
    shape, options = windows(rng, rank, dilated=False)
    options["count_include_pad"] = coin(rng)
    return Arguments((array(rng, shape),), options, options)


@BOTH
@RANKS
def test_avg_pool(rank: int, of: str) -> None:
    met = compare(of, "avg_pool", draw_avg_pool, rank, closely)
    assert (
        min(met["nan"], met["ceil_mode=True"], met["count_include_pad=True"]) >= 0.1 * SETS[of]
    ), met


def draw_fractional(rng: Rng, rank: int) -> Arguments:
    plane = ints(rng, rank, 2, 9)
    kernel = tuple(int(rng.integers(1, min(3, n) + 1)) for n in plane)
    # PyTorch's three-dimensional form wants one cell more than its regions need.
    most = tuple(n - k + (rank < 3) for n, k in zip(plane, kernel, strict=True))
    if min(most) < 1:
        return draw_fractional(rng, rank)
    leading = ints(rng, 2, 1, 2)
    samples = rng.random((*leading, rank))
    options: dict[str, Any] = {"kernel_size": kernel, "samples": samples}
    native: dict[str, Any] = {"kernel_size": kernel, "_random_samples": samples}
    ratio = tuple(float(r) for r in rng.uniform(0.2, 0.95, rank))
    fits = all(1 <= int(n * r) <= m for n, r, m in zip(plane, ratio, most, strict=True))
    if coin(rng) and fits:
        options["output_ratio"] = native["output_ratio"] = ratio
    else:
        output = tuple(int(rng.integers(1, m + 1)) for m in most)
        options["output_size"] = native["output_size"] = output
    return Arguments((array(rng, (*leading, *plane)),), options, native)


def native_fractional(x: torch.Tensor, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    rank = len(options["kernel_size"])
    samples = torch.from_numpy(options.pop("_random_samples"))
    if rank == 3:
        function = F.fractional_max_pool3d_with_indices
    else:
        # In two dimensions PyTorch's samples come last axis first, in three in axis order.
        function, samples = F.fractional_max_pool2d_with_indices, samples.flip(-1)
    if rank == 1:  # which PyTorch lacks: a plane of one row
        x = x.unsqueeze(-2)
        samples = torch.cat([samples, torch.zeros_like(samples)], dim=-1)
        # output_ratio 1 would not do, so the size is worked out.
        ratio = options.pop("output_ratio", None)
        out = options.pop("output_size", None) or (int(x.shape[-1] * ratio[0]),)
        options = {"kernel_size": (1, *options["kernel_size"]), "output_size": (1, *out)}
    found = function(x, _random_samples=samples, **options)
    return tuple(a.squeeze(-2) for a in found) if rank == 1 else found


@BOTH
@RANKS
def test_fractional_max_pool(rank: int, of: str) -> None:
    met = compare(of, "fractional_max_pool", draw_fractional, rank, exactly, native_fractional)
    assert min(met["nan"], met["-inf"]) >= 0.05 * SETS[of], met


# --- unpooling -----------------------------------------------------------------------------------


def sizes(rng: Rng, plane: Ints, *ignored: int) -> dict[str, Any]:
    """Return output_size, or scale_factor: whole ones, or any, up and down.

    `ignored` are the multiples of its length to which PyTorch resizes an axis as if by that factor.
    """
    kind = rng.integers(3)
    if kind == 0:
        return {"output_size": ints(rng, len(plane), 1, 12)}
    if kind == 1:
        return {"scale_factor": tuple(float(s) for s in ints(rng, len(plane), 1, 5))}
    return {"scale_factor": tuple(factor(rng, n, ignored) for n in plane)}


def factor(rng: Rng, n: int, ignored: Ints) -> float:
    scale = float(max(1.01 / n, rng.uniform(0.3, 3.5)))  # no axis is left empty
    again = any(int(n * scale) == n * whole for whole in ignored)
    return factor(rng, n, ignored) if again else scale


def interpolation(options: dict[str, Any]) -> dict[str, Any]:
    return {{"output_size": "size"}.get(name, name): value for name, value in options.items()}


def certain(n: int, scale: float | None, out: int, half: Fraction) -> np.ndarray:
    """Return for which output cells float32 finds the right source index."""
    exact = Fraction(out, n) if scale is None else Fraction(scale)
    step = 1 / exact
    sources = [(o + half) * step for o in range(out)]
    if exact.denominator == 1 or Fraction(float(np.float32(float(step)))) == step:
        return np.ones(out, dtype=bool)
    return np.asarray([abs(source - round(source)) > Fraction(1, 10**5) for source in sources])


def draw_nearest(rng: Rng, rank: int) -> Arguments:
    plane, half = ints(rng, rank, 1, 6), coin(rng)
    # Which cells a factor such as 1.1 or 2.1 gives, where the size comes out as by 1 or 2, depends
    # in PyTorch's "nearest" on the rank and the memory format: a plane gets those of 1 or 2, one
    # or three axes in order get those of the formula, which are ours.
    options = sizes(rng, plane, *((1, 2) if rank == 2 else ()))
    scales = options.get("scale_factor", (None,) * rank)
    outputs = options.get("output_size") or tuple(
        int(n * s) for n, s in zip(plane, scales, strict=True)
    )
    # PyTorch finds its source index in float32. A cell whose exact source coordinate is all but
    # an integer can so fall to the neighbour: only the others are compared, and every cell where
    # the factor is whole or its inverse a float32.
    kept = np.ones((), dtype=bool)
    for axis in zip(plane, scales, outputs, strict=True):
        kept = kept[..., None] & certain(*axis, Fraction(int(half), 2))
    x = array(rng, (*ints(rng, 2, 1, 2), *plane), str(rng.choice(["float64", "float32", "uint8"])))
    native = interpolation(options) | {"mode": "nearest-exact" if half else "nearest"}
    options["coordinates"] = "half_pixel" if half else "asymmetric"
    return Arguments((x,), options, native, kept)


@BOTH
@RANKS
def test_nearest_unpool(rank: int, of: str) -> None:
    cells: Counter[str] = Counter()

    def draw(rng: Rng, rank: int) -> Arguments:
        arguments = draw_nearest(rng, rank)
        assert arguments.kept is not None
        cells.update(all=arguments.kept.size, kept=int(arguments.kept.sum()))
        return arguments

    met = compare(of, "nearest_unpool", draw, rank, exactly)
    assert min(met["coordinates=half_pixel"], met["coordinates=asymmetric"]) >= 0.4 * SETS[of], met
    assert cells["kept"] > 0.9 * cells["all"], cells


def draw_linear(rng: Rng, rank: int) -> Arguments:
    plane = ints(rng, rank, 1, 6)
    # PyTorch's linear copies where the size stays, whatever the factor; here the factor counts.
    options, corners = sizes(rng, plane, 1), coin(rng)
    native = interpolation(options) | {"mode": LINEAR[rank], "align_corners": corners}
    options["coordinates"] = "align_corners" if corners else "half_pixel"
    # Finite values: a neighbour of weight zero makes NaN of an infinity, and at a factor such as
    # 3 rounding alone tells whether a weight is zero. The two tests below have the others.
    x = real_values((*ints(rng, 2, 1, 2), *plane), int(rng.integers(2**31)))
    return Arguments((x,), options, native)


@BOTH
@RANKS
def test_linear_unpool(rank: int, of: str) -> None:
    met = compare(of, "linear_unpool", draw_linear, rank, closely)
    assert min(met["coordinates=half_pixel"], met["coordinates=align_corners"]) >= 0.4 * SETS[of], (
        met
    )


def special(rng: Rng, plane: Ints) -> np.ndarray:
    shape = (*ints(rng, 2, 1, 2), *plane)
    return values(shape, "float64", int(rng.integers(2**31)), special=True)


def draw_same_size(rng: Rng, rank: int) -> Arguments:
    plane, corners = ints(rng, rank, 1, 4), coin(rng)
    options = {"output_size": plane} if coin(rng) else {"scale_factor": (1.0,) * rank}
    native = interpolation(options) | {"mode": LINEAR[rank], "align_corners": corners}
    options["coordinates"] = "align_corners" if corners else "half_pixel"
    # Without infinities, of which PyTorch makes NaN even here.
    x = special(rng, plane)
    return Arguments((np.where(np.isinf(x), 9.0, x),), options, native)


@BOTH
@RANKS
def test_linear_unpool_to_the_same_size_keeps_nan_where_it_is(rank: int, of: str) -> None:
    compare(of, "linear_unpool", draw_same_size, rank, exactly)


def draw_between(rng: Rng, rank: int) -> Arguments:
    # By an even factor no cell of "half_pixel" meets an element, so no weight is zero but where
    # cells before the first element are brought to it.
    plane = ints(rng, rank, 2, 4)
    options: dict[str, Any] = {"scale_factor": tuple(2.0 * f for f in ints(rng, rank, 1, 2))}
    native = interpolation(options) | {"mode": LINEAR[rank]}
    return Arguments((special(rng, plane),), options | {"coordinates": "half_pixel"}, native)


@BOTH
@RANKS
def test_linear_unpool_carries_nan_and_infinities_as_far(rank: int, of: str) -> None:
    met = compare(of, "linear_unpool", draw_between, rank, closely)
    assert min(met["nan"], met["-inf"]) >= 0.05 * SETS[of], met


def draw_max_unpool(rng: Rng, rank: int) -> Arguments:
    kernel, stride = ints(rng, rank, 1, 3), ints(rng, rank, 1, 4)
    padding = each(rng, tuple(k // 2 for k in kernel))
    options: dict[str, Any] = {"kernel_size": kernel, "padding": padding}
    if coin(rng):
        options["stride"] = stride
    else:
        stride = kernel
    n = tuple(ints(rng, 1, 1 + p, 3 + p)[0] for p in padding)
    plane = tuple(
        (m - 1) * s - 2 * p + k for m, s, p, k in zip(n, stride, padding, kernel, strict=True)
    )
    if coin(rng):  # PyTorch takes what is less than a stride from the default
        spread = ((rng.integers(1 - s, s), p) for s, p in zip(stride, plane, strict=True))
        plane = tuple(max(1, p + int(more)) for more, p in spread)
        options["output_size"] = plane
    cells, wanted = int(np.prod(plane)), int(np.prod(n))
    if wanted > cells:  # no room without duplicates, of which each library may keep another
        return draw_max_unpool(rng, rank)
    leading = lead(rng)
    order = rng.permuted(np.tile(np.arange(cells), (int(np.prod(leading)), 1)), axis=1)
    indices = order[:, :wanted].reshape(*leading, *n)
    dtype = str(rng.choice(["float64", "float32"]))
    return Arguments((array(rng, indices.shape, dtype), indices), options, options)


@BOTH
@RANKS
def test_max_unpool(rank: int, of: str) -> None:
    met = compare(of, "max_unpool", draw_max_unpool, rank, exactly)
    assert min(met["nan"], met["-inf"]) >= 0.05 * SETS[of], met


# --- transposed convolution ----------------------------------------------------------------------


def draw_conv_transpose(rng: Rng, rank: int) -> Arguments:
    kernel, stride, dilation = (ints(rng, rank, 1, 3) for _ in range(3))
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padding = each(rng, tuple(extent - 1 for extent in extents))
    most = (max(s, d) - 1 for s, d in zip(stride, dilation, strict=True))
    more = each(rng, tuple(most))
    plane = ints(rng, rank, 1, 4)
    least = tuple(
        (n - 1) * s - 2 * p + extent
        for n, s, p, extent in zip(plane, stride, padding, extents, strict=True)
    )
    output = tuple(low + extra for low, extra in zip(least, more, strict=True))
    if min(output) < 1:  # cropped to nothing
        return draw_conv_transpose(rng, rank)
    groups, inner, outer = ints(rng, 3, 1, 3)
    shapes: list[Ints] = [(groups * inner, *plane), (groups * inner, outer, *kernel)]
    if coin(rng):
        shapes[0] = (int(rng.integers(1, 3)), *shapes[0])
    if coin(rng):
        shapes.append((groups * outer,))
    arrays = tuple(real_values(shape, int(rng.integers(2**31))) for shape in shapes)
    common: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    common["groups"] = groups
    native = common | {"output_padding": more}
    return Arguments(arrays, common | {"output_size": output} if coin(rng) else native, native)


@BOTH
@RANKS
def test_conv_transpose(rank: int, of: str) -> None:
    compare(of, "conv_transpose", draw_conv_transpose, rank, closely)


# --- half precision ------------------------------------------------------------------------------

HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)


def halved(arguments: Arguments, dtype: torch.dtype) -> list[torch.Tensor]:
    """Return the arrays in half precision, but for indices."""
    first, *others = tensors(arguments)
    return [first.to(dtype), *(t.to(dtype) if t.is_floating_point() else t for t in others)]


def doubled(halves: list[torch.Tensor]) -> list[torch.Tensor]:
    return [t.double() if t.is_floating_point() else t for t in halves]


def worst(result: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the largest error."""
    difference = (result.double() - exact).abs()
    difference[(result == exact) | (result.isnan() & exact.isnan())] = 0
    return float(difference.max())


ROUNDED = {
    "avg_pool": draw_avg_pool,
    "linear_unpool": draw_linear,
    "conv_transpose": draw_conv_transpose,
}
MOVED = {
    "max_pool": draw_max_pool,
    "max_unpool": draw_max_unpool,
    "nearest_unpool": draw_nearest,
}


@pytest.fixture
def without_onednn() -> Iterator[None]:
    """Turn oneDNN off: its 3-d transposed convolution of bfloat16 crashes on CPUs with AMX."""
    torch.backends.mkldnn.set_flags(_enabled=False)
    yield
    torch.backends.mkldnn.set_flags(_enabled=True)


@HALVES
@RANKS
@pytest.mark.parametrize("operation", ROUNDED)
@pytest.mark.usefixtures("without_onednn")
def test_half_precision_is_no_worse_than_pytorch_s(
    operation: str, rank: int, dtype: torch.dtype
) -> None:
    theirs = native(operation, rank)
    for number in range(HALF_SETS):
        arguments = ROUNDED[operation](np.random.default_rng((rank, number)), rank)
        halves = halved(arguments, dtype)
        exact = theirs(*doubled(halves), **arguments.native)
        try:
            allowed = worst(theirs(*halves, **arguments.native), exact)
        except NotImplementedError:  # avg_pool3d on a CPU: no error of its own to allow for
            allowed = 0.0
        # Half a unit in the last place is what rounding the exact result can take.
        finite = exact[exact.isfinite()].abs()
        if len(finite):
            allowed = max(allowed, 0.51 * torch.finfo(dtype).eps * float(finite.max()))
        got = getattr(ux, operation)(*halves, **arguments.options)
        assert got.dtype == dtype
        error = worst(got, exact)
        assert error <= allowed, f"set {number} of rank {rank}, {error} > {allowed}\n{arguments}"


@HALVES
@RANKS
@pytest.mark.parametrize("operation", MOVED)
def test_half_precision_is_exact_where_values_only_move(
    operation: str, rank: int, dtype: torch.dtype
) -> None:
    for number in range(HALF_SETS):
        arguments = MOVED[operation](np.random.default_rng((rank, number)), rank)
        halves = halved(arguments, dtype)
        wanted = many(native(operation, rank)(*doubled(halves), **arguments.native))
        got = many(getattr(ux, operation)(*halves, **arguments.options))
        assert got[0].dtype == dtype
        for one, other in zip(got, wanted, strict=True):
            kept = ... if arguments.kept is None else (..., torch.from_numpy(arguments.kept))
            said = f"set {number} of rank {rank}\n{arguments}"
            np.testing.assert_array_equal(one.to(other.dtype)[kept], other[kept], said)
