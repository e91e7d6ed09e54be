"""Passes over eight statevectors at once, written as vectors of eight lanes.

A state is two real arrays `re`, `im` of shape (2**width, 8): row = basis state, lane = one of eight
independent trajectories. Every pass acts on lanes alike, so it needs no shuffles, whatever qubits
it acts on, and a trajectory's numbers do not depend on its lane.

A pass reads the rows `spread(g) + m` for the offsets m of its input, multiplies these 1, 2 or 4
rows by a matrix with its own coefficients in each lane, and writes the rows `spread(g) + m` for the
offsets of its output. So the same code applies gates (4 -> 4), brings in a qubit from a known bit
(2 -> 4, 1 -> 2), and projects one out (4 -> 2, 2 -> 1).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index

LANES = 8
NOWHERE = np.int64(62)
"""Bit position of a qubit that is not in the state: `spread` leaves such an index as it is."""

Real = NDArray[np.floating[Any]]


def _vectors(context: Any, builder: Any, element: Any) -> tuple[Any, Callable[..., Any]]:
    """Return the fused multiply-add of eight lanes and a function giving the address of a row."""
    vector = ir.VectorType(element, LANES)
    suffix = "f32" if isinstance(element, ir.FloatType) else "f64"
    kind = ir.FunctionType(vector, [vector] * 3)
    name = f"llvm.fma.v{LANES}{suffix}"
    fma = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    lanes = ir.Constant(context.get_value_type(types.int64), LANES)

    def at(data: Any, row: Any) -> Any:
        if isinstance(row, int):
            row = ir.Constant(lanes.type, row)
        return builder.bitcast(builder.gep(data, [builder.mul(row, lanes)]), vector.as_pointer())

    return fma, at


def _entries(builder: Any, rows: Any, count: int) -> list[Any]:
    """Return the `count` offsets of (first row, tuple of offsets)."""
    offsets = builder.extract_value(rows, 1)
    return [builder.extract_value(offsets, k) for k in range(count)]


def combine(
    out_re: Real, out_im: Real, re: Real, im: Real, matrix: Real, rows_out: Any, rows_in: Any
) -> None:
    """Write the rows `rows_out`: `matrix` times the rows `rows_in`, lane by lane.

    Args:
        out_re: Real part of the new state, shape (rows, 8); may be `re` itself.
        out_im: Imaginary part of the new state.
        re: Real part of the state.
        im: Imaginary part of the state.
        matrix: Shape (2 * outputs * inputs, 8): real and imaginary parts in turn, row by row.
        rows_out: (first row, tuple of offsets).
        rows_in: (first row, tuple of offsets).
    """
    (to, masks_out), (start, masks_in) = rows_out, rows_in
    x = np.stack([re[start + m] + 1j * im[start + m] for m in masks_in])
    m = (matrix[0::2] + 1j * matrix[1::2]).reshape(-1, len(masks_in), LANES)
    y = np.einsum("oil,il->ol", m[: len(masks_out)], x)
    for k, mask in enumerate(masks_out):
        out_re[to + mask], out_im[to + mask] = y[k].real, y[k].imag


def _combine(
    _: Any,
    out_re: Any,
    out_im: Any,
    re: Any,
    im: Any,
    matrix: Any,
    rows_out: Any,
    rows_in: Any,
) -> Any:
    """Emit `combine` with explicit vectors; LLVM does not find them in the scalar loop."""
    counts = [len(rows.types[1]) for rows in (rows_out, rows_in)]

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_data_type(signature.args[0].dtype)
        fma, at = _vectors(context, builder, element)
        align = signature.args[0].dtype.bitwidth // 8
        arrays = [
            context.make_array(t)(context, builder, a).data
            for t, a in zip(signature.args[:5], args[:5], strict=True)
        ]
        rows = []
        for pair, count in zip(args[5:], counts, strict=True):
            start = builder.extract_value(pair, 0)
            offsets = _entries(builder, pair, count)
            rows.append([builder.add(start, m) for m in offsets])
        xs = [
            tuple(builder.load(at(part, row), align=align) for part in arrays[2:4])
            for row in rows[1]
        ]
        for o, row in enumerate(rows[0]):
            total: list[Any] = []
            for i, (x, y) in enumerate(xs):
                entry = 2 * (o * counts[1] + i)
                a, b = (builder.load(at(arrays[4], entry + k), align=align) for k in (0, 1))
                if not total:
                    total = [builder.fmul(a, x), builder.fmul(a, y)]
                else:
                    total = [
                        builder.call(fma, [a, v, t]) for v, t in zip((x, y), total, strict=True)
                    ]
                total[0] = builder.call(fma, [builder.fneg(b), y, total[0]])
                total[1] = builder.call(fma, [b, x, total[1]])
            for part, value in zip(arrays[:2], total, strict=True):
                builder.store(value, at(part, row), align=align)
        return context.get_dummy_value()

    return types.void(out_re, out_im, re, im, matrix, rows_out, rows_in), emit


def correlate(total: Real, re: Real, im: Real, rows: Any) -> None:
    """Add x_i conj(x_j) of the rows `rows` to `total`, lane by lane.

    Args:
        total: Shape (k * k, 8): |x_i|^2 at (i, i), real part at (i, j), imaginary part at (j, i),
            i < j.
        re: Real part of the state, shape (rows, 8).
        im: Imaginary part of the state.
        rows: (first row, tuple of k offsets).
    """
    start, masks = rows
    x = np.stack([re[start + m] + 1j * im[start + m] for m in masks])
    k = len(masks)
    for i in range(k):
        for j in range(i, k):
            product = x[i] * x[j].conj()
            total[i * k + j] += product.real
            if i != j:
                total[j * k + i] += product.imag


def _correlate(_: Any, total: Any, re: Any, im: Any, rows: Any) -> Any:
    """Emit `correlate` with explicit vectors."""
    k = len(rows.types[1])

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_data_type(signature.args[0].dtype)
        fma, at = _vectors(context, builder, element)
        align = signature.args[0].dtype.bitwidth // 8
        sums, *parts = (
            context.make_array(t)(context, builder, a).data
            for t, a in zip(signature.args[:3], args[:3], strict=True)
        )
        start = builder.extract_value(args[3], 0)
        offsets = _entries(builder, args[3], k)
        xs = [
            tuple(builder.load(at(part, builder.add(start, m)), align=align) for part in parts)
            for m in offsets
        ]

        def add(entry: Index, products: list[tuple[Any, Any]]) -> None:
            value = builder.load(at(sums, entry), align=align)
            for a, b in products:
                value = builder.call(fma, [a, b, value])
            builder.store(value, at(sums, entry), align=align)

        for i, (a, b) in enumerate(xs):
            for j, (c, d) in enumerate(xs[i:], i):
                add(i * k + j, [(a, c), (b, d)])
                if i != j:
                    add(j * k + i, [(b, c), (builder.fneg(a), d)])
        return context.get_dummy_value()

    return types.void(total, re, im, rows), emit


# Numba compiles the body of the lambda in place of the call, so it cannot be the intrinsic itself.
_combine_vectors: Any = intrinsic(_combine)
_correlate_vectors: Any = intrinsic(_correlate)


def _combine_compiled(*_: Any) -> Any:
    return lambda out_re, out_im, re, im, matrix, rows_out, rows_in: _combine_vectors(  # noqa: PLW0108
        out_re, out_im, re, im, matrix, rows_out, rows_in
    )


overload(combine, strict=False, inline="always")(_combine_compiled)


def _correlate_compiled(*_: Any) -> Any:
    return lambda total, re, im, rows: _correlate_vectors(total, re, im, rows)  # noqa: PLW0108


overload(correlate, strict=False, inline="always")(_correlate_compiled)


@njit(cache=True, nogil=True, error_model="numpy")
def spread(index: Index, low: Index, high: Index) -> Index:
    """Return `index` with zeros inserted at the bit positions `low` < `high` of the result."""
    index = ((index >> low) << (low + 1)) | (index & ((1 << low) - 1))
    return ((index >> high) << (high + 1)) | (index & ((1 << high) - 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(
    out_re: Real, out_im: Real, re: Real, im: Real, matrix: Real, groups: Index, to: Any, at: Any
) -> None:
    """Run `combine` over all groups; `to` and `at` are (low, high, offsets)."""
    for g in range(groups):
        rows_out = (spread(g, to[0], to[1]), to[2])
        rows_in = (spread(g, at[0], at[1]), at[2])
        combine(out_re, out_im, re, im, matrix, rows_out, rows_in)


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep_inputs(
    out_re: Real,
    out_im: Real,
    re: Real,
    im: Real,
    matrix: Real,
    groups: Index,
    to: Any,
    a: Index,
    b: Index,
) -> None:
    """Run `_sweep` for inputs at the bits `a` and `b`, -1 for a qubit outside of the state."""
    zero = np.int64(0)
    one = np.int64(1)
    if a >= 0 and b >= 0:
        x, y = one << a, one << b
        four = (min(a, b), max(a, b), (zero, y, x, x | y))
        _sweep(out_re, out_im, re, im, matrix, groups, to, four)
    elif a >= 0 or b >= 0:
        c = max(a, b)
        _sweep(out_re, out_im, re, im, matrix, groups, to, (c, NOWHERE, (zero, one << c)))
    else:
        _sweep(out_re, out_im, re, im, matrix, groups, to, (NOWHERE, NOWHERE, (zero,)))


@njit(cache=True, nogil=True, error_model="numpy")
def transform(
    out_re: Real,
    out_im: Real,
    re: Real,
    im: Real,
    matrix: Real,
    groups: Index,
    bits: NDArray[np.int64],
) -> None:
    """Multiply the state by a matrix on one or two qubits; qubits may come in and go out.

    Args:
        out_re: Real part of the new state, shape (rows, 8); may be `re` itself if `bits[:2]` equal
            `bits[2:]`, that is if no qubit comes or goes.
        out_im: Imaginary part of the new state.
        re: Real part of the state.
        im: Imaginary part of the state.
        matrix: Shape (2 * outputs * inputs, 8), see `combine`; the first qubit is the most
            significant index, and a qubit outside of the state has no index.
        groups: 2 ** (number of qubits of the state not acted on).
        bits: Bit positions (first in, second in, first out, second out), -1 for outside.

    Error:
        Rounding of the state's precision, about 4 * eps per pass.

    Cost:
        8 * inputs * outputs * groups flops per lane; 60 GFLOP/s on one Zen 3 core for 4 -> 4.
    """
    zero = np.int64(0)
    one = np.int64(1)
    a, b, c, d = bits[0], bits[1], bits[2], bits[3]
    if c >= 0 and d >= 0:
        x, y = one << c, one << d
        four = (min(c, d), max(c, d), (zero, y, x, x | y))
        _sweep_inputs(out_re, out_im, re, im, matrix, groups, four, a, b)
    elif c >= 0 or d >= 0:
        e = max(c, d)
        two = (e, NOWHERE, (zero, one << e))
        _sweep_inputs(out_re, out_im, re, im, matrix, groups, two, a, b)
    else:
        single = (NOWHERE, NOWHERE, (zero,))
        _sweep_inputs(out_re, out_im, re, im, matrix, groups, single, a, b)


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_correlations(sums: Real, part: Real, re: Real, im: Real, groups: Index, at: Any) -> None:
    """Add up `correlate` over all groups, in double precision every 128 groups."""
    sums[:] = 0.0
    for first in range(0, groups, 128):
        part[:] = 0.0
        for g in range(first, min(first + 128, groups)):
            correlate(part, re, im, (spread(g, at[0], at[1]), at[2]))
        for k in range(len(at[2]) ** 2):
            for lane in range(LANES):
                sums[k, lane] += part[k, lane]


@njit(cache=True, nogil=True, error_model="numpy")
def reduced(sums: Real, part: Real, re: Real, im: Real, groups: Index, a: Index, b: Index) -> None:
    """Fill `sums` with the reduced density matrices of the qubits at the bits `a` and `b`.

    Args:
        sums: Output, float64, shape (16, 8), laid out as in `correlate` for the qubits that are in
            the state.
        part: Scratch of the state's precision, shape (16, 8).
        re: Real part of the state, shape (rows, 8).
        im: Imaginary part of the state.
        groups: 2 ** (number of qubits of the state not asked for).
        a: Bit of the first qubit, -1 if it is not in the state.
        b: Bit of the second qubit, -1 if it is not in the state.

    Error:
        Relative 128 * eps of the state's precision.
    """
    zero = np.int64(0)
    one = np.int64(1)
    if a >= 0 and b >= 0:
        x, y = one << a, one << b
        four = (min(a, b), max(a, b), (zero, y, x, x | y))
        _sum_correlations(sums, part, re, im, groups, four)
    elif a >= 0 or b >= 0:
        c = max(a, b)
        _sum_correlations(sums, part, re, im, groups, (c, NOWHERE, (zero, one << c)))
    else:
        _sum_correlations(sums, part, re, im, groups, (NOWHERE, NOWHERE, (zero,)))
