"""The reference for the transposed convolution: loops over elements and taps, nothing else."""

from __future__ import annotations

import numpy as np

from unpool_xp.reference.pooling import NDArray, Pairs, Sizes, _quiet


@_quiet
def conv_transpose(
    x: NDArray,
    weight: NDArray,
    bias: NDArray | None = None,
    *,
    stride: Sizes,
    padding: Pairs,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> NDArray:
    """Return the transposed convolution (arXiv 1603.07285, relation 14).

    Output cell o takes, for each tap t of the kernel, input cell i times the weight there, where
    ``o + before = i*stride + t*dilation``.

    Parameters
    ----------
    x : ndarray
        Shape ``(N, Cin, *spatial)``.
    weight : ndarray
        Shape ``(Cin, Cout/groups, *kernel)``.
    bias : ndarray, optional
        Shape ``(Cout,)``.
    stride, padding, output_padding : tuple
        One entry a spatial axis. Padding is cropped; output padding is added at the end.
    groups : int
        Channels meet within their group only.
    dilation : tuple of int
        The step from tap to tap along each axis.

    Returns
    -------
    ndarray
        Shape ``(N, Cout, *out)``, float64 or complex128.
    """
    (batch, channels, *plane), (_, out_channels, *kernel) = x.shape, weight.shape
    out = tuple(
        (n - 1) * s - before - after + d * (k - 1) + extra + 1
        for n, k, s, (before, after), extra, d in zip(
            plane, kernel, stride, padding, output_padding, dilation, strict=True
        )
    )
    # Spatial axes first, then a stack of matrices: (groups, N, Cin) @ (groups, Cin, Cout).
    wide = np.complex128 if np.iscomplexobj(x) or np.iscomplexobj(weight) else np.float64
    grouped = x.astype(wide).reshape(batch, groups, channels // groups, *plane)
    cells = np.moveaxis(grouped, (1, 0, 2), (-3, -2, -1))
    taps = weight.astype(wide).reshape(groups, -1, out_channels, *kernel)
    taps = np.moveaxis(taps, (0, 1, 2), (-3, -2, -1))
    result = np.zeros((*out, groups, batch, out_channels), dtype=wide)
    for o in np.ndindex(out):
        for tap in np.ndindex(*kernel):
            reached = [
                divmod(i + before - t * d, s)
                for i, t, s, (before, _), d in zip(o, tap, stride, padding, dilation, strict=True)
            ]
            on_cells = all(rest == 0 for _, rest in reached)
            if on_cells and all(0 <= i < n for (i, _), n in zip(reached, plane, strict=True)):
                result[o] += cells[tuple(i for i, _ in reached)] @ taps[tap]
    result = np.moveaxis(result, (-2, -3, -1), (0, 1, 2))
    result = result.reshape(batch, groups * out_channels, *out)
    return result if bias is None else result + bias.reshape(-1, *(1 for _ in out))
