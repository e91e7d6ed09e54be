"""Linear algebra over GF(2)."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qdt_emu.kernels.binary import echelon, null_space, reduced


@st.composite
def matrices(draw):
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    bits = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return np.array(bits, bool).reshape(rows, columns)


def span(matrix):
    """All sums of rows, as a set of tuples."""
    out = {(0,) * matrix.shape[1]}
    for row in matrix.astype(int):
        out |= {tuple((np.array(x) + row) % 2) for x in out}
    return out


@given(matrices())
def test_elimination_keeps_the_space_and_counts_its_dimension(matrix):
    rows, pivots = echelon(matrix)
    assert span(rows) == span(matrix)
    assert len(span(matrix)) == 2 ** len(pivots)
    assert np.array_equal(rows[:, pivots], np.eye(len(pivots), dtype=bool))


@given(matrices())
def test_the_null_space_is_all_that_is_mapped_to_zero(matrix):
    found = null_space(matrix)
    every = (np.arange(2 ** matrix.shape[1])[:, None] >> np.arange(matrix.shape[1])) & 1
    zero = every[~((matrix.astype(int) @ every.T) % 2).any(0)]
    assert span(found) == {tuple(x) for x in zero}


@given(matrices())
def test_reduction_is_idempotent_and_leaves_its_argument(matrix):
    before = matrix.copy()
    assert np.array_equal(reduced(reduced(matrix)), reduced(matrix))
    assert np.array_equal(matrix, before)
