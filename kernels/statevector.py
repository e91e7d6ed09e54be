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
from functools import partial
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


def _rows(builder: Any, rows: Any) -> list[Any]:
    """Return the row numbers that (first row, four offsets) stands for."""
    first, offsets = builder.extract_value(rows, 0), builder.extract_value(rows, 1)
    return [builder.add(first, builder.extract_value(offsets, k)) for k in range(4)]


def _cases(builder: Any, key: Any, cases: dict[int, Callable[[], None]]) -> None:
    """Emit a switch; the case is the same all through a pass, so it costs nothing."""
    end = builder.append_basic_block()
    switch = builder.switch(key, end)
    for value, emit in cases.items():
        block = builder.append_basic_block()
        switch.add_case(ir.Constant(key.type, value), block)
        builder.position_at_end(block)
        emit()
        builder.branch(end)
    builder.position_at_end(end)


def combine(
    out_re: Real,
    out_im: Real,
    re: Real,
    im: Real,
    matrix: Real,
    shape: Index,
    rows_out: Any,
    rows_in: Any,
) -> None:
    """Write the rows `rows_out`: `matrix` times the rows `rows_in`, lane by lane.

    Args:
        out_re: Real part of the new state, shape (rows, 8); may be `re` itself.
        out_im: Imaginary part of the new state.
        re: Real part of the state.
        im: Imaginary part of the state.
        matrix: Shape (2 * outputs * inputs, 8): real and imaginary parts in turn, row by row.
        shape: 8 * outputs + inputs, each 1, 2 or 4.
        rows_out: (first row, four offsets), of which the first `outputs` count.
        rows_in: (first row, four offsets), of which the first `inputs` count.
    """
    outputs, inputs = shape >> 3, shape & 7
    (to, masks_out), (start, masks_in) = rows_out, rows_in
    x = np.stack([re[start + m] + 1j * im[start + m] for m in masks_in[:inputs]])
    size = 2 * outputs * inputs
    m = (matrix[0:size:2] + 1j * matrix[1:size:2]).reshape(outputs, inputs, LANES)
    y = np.einsum("oil,il->ol", m, x)
    for k, mask in enumerate(masks_out[:outputs]):
        out_re[to + mask], out_im[to + mask] = y[k].real, y[k].imag


def _combine(
    _: Any,
    out_re: Any,
    out_im: Any,
    re: Any,
    im: Any,
    matrix: Any,
    _shape: Any,
    rows_out: Any,
    rows_in: Any,
) -> Any:
    """Emit `combine` with explicit vectors; LLVM does not find them in the scalar loop."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        fma, at = _vectors(context, builder, context.get_data_type(signature.args[0].dtype))
        align = signature.args[0].dtype.bitwidth // 8
        *states, coefficients = (
            context.make_array(t)(context, builder, a).data
            for t, a in zip(signature.args[:5], args[:5], strict=True)
        )
        to, source = _rows(builder, args[6]), _rows(builder, args[7])

        def product(outputs: int, inputs: int) -> None:
            xs = [
                tuple(builder.load(at(part, row), align=align) for part in states[2:])
                for row in source[:inputs]
            ]
            for o, row in enumerate(to[:outputs]):
                total: list[Any] = []
                for i, (x, y) in enumerate(xs):
                    entry = 2 * (o * inputs + i)
                    a, b = (builder.load(at(coefficients, entry + k), align=align) for k in (0, 1))
                    if total:
                        pairs = zip((x, y), total, strict=True)
                        total = [builder.call(fma, [a, v, t]) for v, t in pairs]
                    else:
                        total = [builder.fmul(a, x), builder.fmul(a, y)]
                    total[0] = builder.call(fma, [builder.fneg(b), y, total[0]])
                    total[1] = builder.call(fma, [b, x, total[1]])
                for part, value in zip(states[:2], total, strict=True):
                    builder.store(value, at(part, row), align=align)

        sizes = [(o, i) for o in (4, 2, 1) for i in (4, 2, 1)]
        _cases(builder, args[5], {8 * o + i: partial(product, o, i) for o, i in sizes})
        return context.get_dummy_value()

    return types.void(out_re, out_im, re, im, matrix, types.int64, rows_out, rows_in), emit


def correlate(total: Real, re: Real, im: Real, count: Index, rows: Any) -> None:
    """Add x_i conj(x_j) of the rows `rows` to `total`, lane by lane.

    Args:
        total: Shape (k * k, 8): |x_i|^2 at (i, i), real part at (i, j), imaginary part at (j, i),
            i < j.
        re: Real part of the state, shape (rows, 8).
        im: Imaginary part of the state.
        count: k, which is 1, 2 or 4.
        rows: (first row, four offsets), of which the first k count.
    """
    start, masks = rows
    x = np.stack([re[start + m] + 1j * im[start + m] for m in masks[:count]])
    for i in range(count):
        for j in range(i, count):
            product = x[i] * x[j].conj()
            total[i * count + j] += product.real
            if i != j:
                total[j * count + i] += product.imag


def _correlate(_: Any, total: Any, re: Any, im: Any, _count: Any, rows: Any) -> Any:
    """Emit `correlate` with explicit vectors."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        fma, at = _vectors(context, builder, context.get_data_type(signature.args[0].dtype))
        align = signature.args[0].dtype.bitwidth // 8
        sums, *parts = (
            context.make_array(t)(context, builder, a).data
            for t, a in zip(signature.args[:3], args[:3], strict=True)
        )
        source = _rows(builder, args[4])

        def add(entry: int, products: list[tuple[Any, Any]]) -> None:
            value = builder.load(at(sums, entry), align=align)
            for a, b in products:
                value = builder.call(fma, [a, b, value])
            builder.store(value, at(sums, entry), align=align)

        def products(k: int) -> None:
            xs = [
                tuple(builder.load(at(part, row), align=align) for part in parts)
                for row in source[:k]
            ]
            for i, (a, b) in enumerate(xs):
                for j, (c, d) in enumerate(xs[i:], i):
                    add(i * k + j, [(a, c), (b, d)])
                    if i != j:
                        add(j * k + i, [(b, c), (builder.fneg(a), d)])

        _cases(builder, args[3], {k: partial(products, k) for k in (4, 2, 1)})
        return context.get_dummy_value()

    return types.void(total, re, im, types.int64, rows), emit


_combine_vectors: Any = intrinsic(_combine)
_correlate_vectors: Any = intrinsic(_correlate)


def _combine_compiled(*_: Any) -> Any:
    # Numba compiles the lambda in place of the call, so it cannot be the intrinsic itself.
    return lambda out_re, out_im, re, im, matrix, shape, rows_out, rows_in: _combine_vectors(  # noqa: PLW0108
        out_re, out_im, re, im, matrix, shape, rows_out, rows_in
    )


def _correlate_compiled(*_: Any) -> Any:
    return lambda total, re, im, count, rows: _correlate_vectors(  # noqa: PLW0108
        total, re, im, count, rows
    )


overload(combine, strict=False, inline="always")(_combine_compiled)
overload(correlate, strict=False, inline="always")(_correlate_compiled)


@njit(cache=True, nogil=True, error_model="numpy")
def spread(index: Index, low: Index, high: Index) -> Index:
    """Return `index` with zeros inserted at the bit positions `low` < `high` of the result."""
    index = ((index >> low) << (low + 1)) | (index & ((1 << low) - 1))
    return ((index >> high) << (high + 1)) | (index & ((1 << high) - 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _places(a: Index, b: Index) -> Any:
    """Return (count, low, high, four offsets) of the rows of the bits `a` and `b`, -1 for none."""
    one, none = np.int64(1), np.int64(0)
    if a >= 0 and b >= 0:
        x, y = one << a, one << b
        return np.int64(4), min(a, b), max(a, b), (none, y, x, x | y)
    if a >= 0 or b >= 0:
        c = max(a, b)
        return np.int64(2), c, NOWHERE, (none, one << c, none, none)
    return np.int64(1), NOWHERE, NOWHERE, (none, none, none, none)


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
        out_re: Real part of the new state, shape (rows, 8); may be `re` itself if no qubit
            leaves and newcomers take the highest bits.
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
    outputs, low_out, high_out, offsets_out = _places(bits[2], bits[3])
    inputs, low, high, offsets = _places(bits[0], bits[1])
    shape = 8 * outputs + inputs
    for g in range(groups):
        rows_out = (spread(g, low_out, high_out), offsets_out)
        rows_in = (spread(g, low, high), offsets)
        combine(out_re, out_im, re, im, matrix, shape, rows_out, rows_in)


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
    count, low, high, offsets = _places(a, b)
    sums[:] = 0.0
    for first in range(0, groups, 128):  # single precision adds up few numbers only
        part[:] = 0.0
        for g in range(first, min(first + 128, groups)):
            correlate(part, re, im, count, (spread(g, low, high), offsets))
        for k in range(count * count):
            for lane in range(LANES):
                sums[k, lane] += part[k, lane]
