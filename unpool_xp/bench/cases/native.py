"""A library's own way to do an operation: lines of Python, timed as they are and shown to paste."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.gradients import floating_positions

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case

Lines: TypeAlias = "Callable[[Case], Sequence[str]]"
Reason: TypeAlias = "Callable[[Case], str | None]"

# By the name that the lines use. What else they need, they import themselves, in `once`.
_IMPORTS = {
    "cp": "import cupy as cp",
    "cupyx": "import cupyx.scipy.ndimage",
    "da": "import dask.array as da",
    "jax": "import jax",
    "jnp": "import jax.numpy as jnp",
    "mlx": "import mlx.nn",
    "mx": "import mlx.core as mx",
    "np": "import numpy as np",
    "scipy": "import scipy.ndimage",
    "torch": "import torch",
}


VALUES_ONLY = " (values only)"  # in the name of a function that finds no indices


@dataclass(frozen=True)
class Native:
    """One way to do an operation with a library alone.

    Parameters
    ----------
    library : str
        What it is of.
    title : str
        The function; ``{d}`` stands for the rank.
    lines : callable
        From a case to lines of Python that make ``y``, or ``y`` and ``indices``, of the arrays that
        the case has as inputs.
    reason : callable, optional
        Returns why a case is unsupported, or None if it is supported.
    values_only : bool, optional
        Whether it returns values without indices.
    once : callable, optional
        From a case to lines that come before, and are not part of a call.
    drawn : callable, optional
        From a case and a backend to what is used instead of random numbers that ``once`` draws.

    Examples
    --------
    >>> from unpool_xp.bench.cases.case import Case
    >>> from unpool_xp.bench.cases.native import Native
    >>> native = Native("numpy", "numpy.repeat", lambda case: ["y = np.repeat(x, 2, axis=-1)"])
    >>> native.code(Case("nearest_unpool", (2, 3, 8), scale=2))
    ['import numpy as np', 'y = np.repeat(x, 2, axis=-1)']
    """

    library: str
    title: str
    lines: Lines
    reason: Reason = lambda case: None
    values_only: bool = False
    once: Lines = lambda case: ()
    drawn: Callable[[Case, Backend], dict[str, Any]] = lambda case, backend: {}

    def name(self, case: Case) -> str:
        """Return the name of the function for a case."""
        return self.title.format(d=case.rank) + VALUES_ONLY * self.values_only

    def bytes_moved(self, case: Case) -> int:
        """Return the bytes of the inputs and of those outputs that it writes."""
        if not self.values_only:
            return case.bytes_moved
        shape, _ = case.outputs["indices"]
        return case.bytes_moved - 8 * math.prod(shape)

    def code(self, case: Case, compiler: str | None = None) -> list[str]:
        """Return lines to paste, where the arrays have the names of the case's inputs.

        Parameters
        ----------
        case : Case
            Its sizes are in the lines.
        compiler : str, optional
            What compiles them, such as "jax.jit". Default: nothing does.
        """
        forward = case.forward
        outputs = ["y"] if self.values_only else output_names(forward)
        lines = list(self.lines(forward))
        if case.backward:
            lines = backward_lines(case, self.library, lines, outputs, compiler)
        elif compiler is not None:
            lines = compiled_lines(list(forward.inputs), lines, outputs, compiler)
        return _with_imports([*self.once(forward), *lines])

    def build(self, case: Case, backend: Backend) -> Callable[..., Any]:
        """Return the function of the case's arrays, cotangents aside, that the lines make."""
        case = case.forward
        outputs = ["y"] if self.values_only else output_names(case)
        body = [*self.lines(case), f"return {', '.join(outputs)}"]
        lines = _with_imports([*self.once(case), *define("native", list(case.inputs), body)])
        names: dict[str, Any] = {}
        exec("\n".join(lines), names)
        names |= self.drawn(case, backend)
        native: Callable[..., Any] = names["native"]
        return native


def output_names(case: Case) -> list[str]:
    """Return what the lines of a native call what they make: "y", or "y" and "indices"."""
    return ["y", *list(case.forward.outputs)[1:]]


def define(name: str, arguments: Sequence[str], body: Sequence[str]) -> list[str]:
    """Return the lines of a function."""
    return [f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in body)]


def compiled_lines(
    arrays: Sequence[str], lines: Sequence[str], outputs: Sequence[str], compiler: str
) -> list[str]:
    """Return lines that compile others, and call what comes out."""
    made, call = ", ".join(outputs), f"compiled({', '.join(arrays)})"
    function = define("compiled", arrays, [*lines, f"return {made}"])
    return [f"@{compiler}", *function, f"{made} = {call}"]


def backward_lines(
    case: Case, library: str, lines: Sequence[str], outputs: Sequence[str], compiler: str | None
) -> list[str]:
    """Return lines that make the outputs and the gradients, of lines that make the outputs."""
    inputs, cotangents, gradients = (
        list(layout) for layout in (case.forward.inputs, case.cotangents, case.gradients)
    )
    wrt = [inputs[n] for n in floating_positions(case.forward.inputs)]
    at = floating_positions(case.forward.outputs)
    kept, others = [outputs[n] for n in at], [o for n, o in enumerate(outputs) if n not in at]
    if library == "jax":
        has_aux = ", has_aux=True" * bool(others)
        made = [_one_or_tuple(names) for names in (kept, others) if names]
        found = ", ".join([made[0], "pullback", *made[1:]])
        arrays = [*inputs, *cotangents]
        by = ", ".join(wrt)
        body = [
            f"{found} = jax.vjp(lambda {by}: forward({', '.join(inputs)}), {by}{has_aux})",
            f"return {', '.join(outputs)}, *pullback({_one_or_tuple(cotangents)})",
        ]
        return [
            *define("forward", inputs, [*lines, f"return {', '.join(made)}"]),
            *([f"@{compiler}"] if compiler else []),
            *define("backward", arrays, body),
            f"{', '.join([*outputs, *gradients])} = backward({', '.join(arrays)})",
        ]
    if library == "mlx":
        results = [name if name in kept else f"mx.stop_gradient({name})" for name in outputs]
        given = ", ".join(f"[{', '.join(names)}]" for names in (wrt, cotangents))
        body = [
            *define("forward", wrt, [*lines, f"return {_one_or_tuple(results)}"]),
            f"made, gradients = mx.vjp(forward, {given})",
            "return *made, *gradients",
        ]
        arrays = [*inputs, *cotangents]
        return [
            *([f"@{compiler}"] if compiler else []),
            *define("backward", arrays, body),
            f"{', '.join([*outputs, *gradients])} = backward({', '.join(arrays)})",
        ]
    if library == "torch":
        if compiler:
            lines = compiled_lines(inputs, lines, outputs, compiler)
        given = ", ".join(map(_one_or_tuple, (kept, wrt, cotangents)))
        found = f"({gradients[0]},)" if len(gradients) == 1 else ", ".join(gradients)
        return [
            *(f"{name}.requires_grad_()" for name in wrt),
            *lines,
            f"{found} = torch.autograd.grad({given})",
        ]
    return [*lines, f"# the gradients by {', '.join(wrt)}: as {library} computes them"]


def _one_or_tuple(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def _with_imports(lines: Sequence[str]) -> list[str]:
    """Return lines with what they need before them."""
    tree = ast.parse("\n".join(lines))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    used = {node.id for node in names} - {n.id for n in names if isinstance(n.ctx, ast.Store)}
    return [*(line for name, line in _IMPORTS.items() if name in used), *lines]


def torch_native(
    name: str,
    reason: Reason,
    options: Callable[[Case], dict[str, Any]] = lambda case: case.options(),
) -> Native:
    """Return the native of a function of ``torch.nn.functional``."""
    title = f"torch.nn.functional.{name}"

    def lines(case: Case) -> list[str]:
        given = [f"{option}={value!r}" for option, value in options(case).items()]
        call = f"{title.format(d=case.rank)}({', '.join([*case.inputs, *given])})"
        return [f"{', '.join(output_names(case))} = {call}"]

    return Native("torch", title, lines, reason)


def first_reason(*reasons: Reason) -> Reason:
    """Combine checks: return the first reason that applies to a case."""
    return lambda case: next((said for reason in reasons if (said := reason(case))), None)


def reason_unless(holds: Callable[[Case], bool], text: str) -> Reason:
    """Return a check: where a case does not hold, the reason is the text about that case."""
    return lambda case: None if holds(case) else text.format(case=case)


_SHAPE = "shape {case.shape} is not (N, C, *spatial) with 1 to 3 axes"
requires_image_shape = reason_unless(  # or (C, *spatial)
    lambda case: case.rank <= 3 and len(case.lead) in (1, 2), _SHAPE
)
requires_batch = reason_unless(lambda case: case.rank <= 3 and len(case.lead) == 2, _SHAPE)
requires_integer_scale = reason_unless(
    lambda case: all(float(factor).is_integer() for factor in case.scale),
    "scale {case.scale} is not whole",
)
requires_exact_scale = reason_unless(
    lambda case: case.output_plane == tuple(map(operator.mul, case.plane, case.scale)),
    "scale {case.scale} is not output size over input size",
)
requires_no_padding = reason_unless(lambda case: not case.padding, "padding {case.padding}")
requires_disjoint_windows = first_reason(
    reason_unless(
        lambda case: case.stride == case.kernel,
        "stride {case.stride} is not the kernel {case.kernel}",
    ),
    requires_no_padding,
)
