"""Kernels against one line of NumPy, compiled and as Python."""

import numpy as np
import pytest

from qdt_emu.engines.pauli_bind import _orbits, _still
from qdt_emu.kernels.pauli import (
    DEAD,
    USED,
    at_start,
    branch,
    moved,
    raised,
    rename,
    settle,
)
from qdt_emu.kernels.pauli_strings import EMPTY, LOW, cone, find, index, support, weight


def versions(kernel):
    return pytest.param(kernel, id="compiled"), pytest.param(kernel.py_func, id="python")


def packed(codes):
    """Words of strings given as codes, shape (strings, qubits)."""
    n = codes.shape[1]
    out = np.zeros((len(codes), -(-n // 32)), np.uint64)
    for q in range(n):
        out[:, q // 32] |= codes[:, q].astype(np.uint64) << np.uint64(2 * (q % 32))
    return out


def unpacked(keys, n):
    return np.stack(
        [keys[:, q // 32] >> np.uint64(2 * (q % 32)) & np.uint64(3) for q in range(n)], 1
    )


def strings(rng, count=40, n=40, active=(3, 36)):
    """Different strings that are not I on a few qubits only, so that many partners exist."""
    codes = np.zeros((count, n), np.uint8)
    codes[:, [*active, 10]] = rng.integers(0, 4, (count, 3))
    return np.unique(codes, axis=0)


def place(a, b, row=0):
    """Where a map acts; a = -1 is a map on one qubit."""
    c = max(a, 0)
    return np.array([c // 32, 2 * (c % 32), 3 * (a >= 0), b // 32, 2 * (b % 32), row], np.uint64)


def total(keys, coefs, used):
    return {tuple(k): c for k, c in zip(keys[:used].tolist(), coefs[:used], strict=True) if c}


def workspace(keys, coefs, room=256):
    held = np.zeros((room, keys.shape[1]), np.uint64)
    held[: len(keys)] = keys
    full = np.concatenate([coefs, np.zeros(room - len(coefs))])
    table = np.empty(2 * room, np.uint64)
    spread = index(held, table, len(keys), 2 * len(keys))
    terms = (held, full, np.zeros(room, np.uint64), np.empty(room, np.uint64), table)
    return terms, np.array([len(keys), 0, spread])


@pytest.mark.parametrize("kernel", versions(weight))
def test_weight_counts_what_is_not_i(kernel):
    codes = np.random.default_rng(0).integers(0, 4, (20, 70))
    got = [kernel(k) for k in packed(codes)]
    assert np.array_equal(got, np.count_nonzero(codes, axis=1))


@pytest.mark.parametrize("kernel", versions(support))
def test_support_is_the_union(kernel):
    codes = strings(np.random.default_rng(1), count=3)
    out = np.empty(2, np.uint64)
    kernel(packed(codes), len(codes), out)
    assert np.array_equal(unpacked(out[None], 40)[0], np.any(codes, axis=0))


@pytest.mark.parametrize("kernel", versions(find))
def test_table_finds_every_string_and_no_other(kernel):
    keys = packed(strings(np.random.default_rng(2)))
    half = len(keys) // 2
    table = np.empty(256, np.uint64)
    spread = index(keys, table, half, len(keys))
    entries = [table[kernel(keys, table, spread, k)] for k in keys]
    assert np.array_equal(np.array(entries[:half]) & LOW, np.arange(half))
    assert all(e == EMPTY for e in entries[half:])


@pytest.mark.parametrize("kernel", versions(settle))
def test_settle_drops_small_and_heavy_strings(kernel):
    rng = np.random.default_rng(3)
    codes, tally = strings(rng), np.array([0, 0, 0.3, 0, 0])
    keys, coefs = packed(codes), rng.normal(size=len(codes))
    coefs[::5] = 0
    want = (np.abs(coefs) >= 0.3) & (np.count_nonzero(codes, axis=1) <= 2)
    lost, before = np.abs(coefs[~want]), total(keys[want], coefs[want], want.sum())
    count = np.array([len(keys), 3, 64])
    kernel(keys, coefs, count, tally, 2)
    assert count.tolist() == [want.sum(), 0, 64]
    assert total(keys, coefs, count[USED]) == before
    assert np.allclose(tally[:2], [lost.sum(), (lost**2).sum()], rtol=1e-13)


@pytest.mark.parametrize("kernel", versions(rename))
@pytest.mark.parametrize("qubits", [(3, 36), (36, 3), (-1, 36)])
def test_rename_permutes_codes(kernel, qubits):
    rng = np.random.default_rng(4)
    codes = strings(rng)
    coefs = rng.normal(size=len(codes))
    size = 4 if qubits[0] < 0 else 16
    target = np.arange(16)
    target[1:size] = 1 + rng.permutation(size - 1)
    weights = np.concatenate([[1], rng.normal(size=15)])
    a, b = qubits
    code = codes[:, b] + (4 * codes[:, a] if a >= 0 else 0)
    want, scaled = codes.copy(), coefs * weights[code]
    want[:, b] = target[code] % 4
    if a >= 0:
        want[:, a] = target[code] // 4
    keys = packed(codes)
    kernel(
        keys,
        coefs,
        len(keys),
        np.zeros(1, int),
        place(a, b)[None],
        target[None].astype(np.uint8),
        weights[None],
    )
    assert np.array_equal(keys, packed(want))
    assert np.allclose(coefs, scaled, rtol=1e-14)


@pytest.mark.parametrize("kernel", versions(moved))
def test_moved_lists_what_changes(kernel):
    codes = strings(np.random.default_rng(5))
    still = np.zeros((1, 16), np.uint8)
    still[0, [1, 6, 11]] = 1
    code = 4 * codes[:, 3] + codes[:, 36]
    todo = np.empty(len(codes), np.uint64)
    n = kernel(packed(codes), len(codes), place(3, 36), still, todo)
    assert todo[:n].tolist() == np.flatnonzero((code > 0) & ~still[0, code].astype(bool)).tolist()


@pytest.mark.parametrize("kernel", versions(branch))
@pytest.mark.parametrize(("a", "b"), [(3, 36), (36, 3), (-1, 10)])
@pytest.mark.parametrize("filled", [1.0, 0.3])
def test_branch_is_a_matrix_on_two_axes(kernel, a, b, filled):
    """Without threshold, against the dense coefficient tensor of the three active qubits."""
    rng = np.random.default_rng(6)
    codes = strings(rng)
    coefs = rng.normal(size=len(codes))
    dense = np.zeros((4, 4, 4))
    dense[tuple(codes[:, [3, 10, 36]].T)] = coefs
    size = 4 if a < 0 else 16
    matrix = np.eye(16)
    matrix[1:size, :size] = rng.normal(size=(size - 1, size)) * (
        rng.random((size - 1, size)) < filled
    )
    if a < 0:
        want = np.einsum("abc,bx->axc", dense, matrix[:4, :4])
    else:
        other = matrix.reshape(4, 4, 4, 4)
        spec = {(3, 36): "abc,acxz->xbz", (36, 3): "abc,cazx->xbz"}[a, b]
        want = np.einsum(spec, dense, other)
    tables = (matrix[None], *_orbits(matrix[None]), _still(matrix[None]))
    terms, count = workspace(packed(codes), coefs)
    tally = np.zeros(5)
    changed = moved(terms[0], len(codes), place(a, b), tables[3], terms[3])
    kernel(terms, changed, place(a, b), np.uint64(1), tables, count, tally, 99)
    got = np.zeros((4, 4, 4))
    after = unpacked(terms[0][: count[USED]], 40)
    got[tuple(after[:, [3, 10, 36]].T.astype(int))] += terms[1][: count[USED]]
    assert np.allclose(got, want, rtol=0, atol=1e-13)
    assert len(np.unique(after, axis=0)) == count[USED]
    assert count[DEAD] == np.count_nonzero(terms[1][: count[USED]] == 0)
    assert not tally[:2].any()


@pytest.mark.parametrize("kernel", versions(branch))
def test_branch_accounts_for_all_it_drops(kernel):
    rng = np.random.default_rng(7)
    codes = strings(rng)
    coefs = rng.normal(size=len(codes))
    matrix = np.eye(16)
    matrix[1:4, 1:4] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    tables = (matrix[None], *_orbits(matrix[None]), _still(matrix[None]))
    terms, count = workspace(packed(codes), coefs.copy())
    tally = np.array([0, 0, 0.5, 0, 0])
    changed = moved(terms[0], len(codes), place(-1, 3), tables[3], terms[3])
    kernel(terms, changed, place(-1, 3), np.uint64(1), tables, count, tally, 99)
    kept = np.sum(terms[1][: count[USED]] ** 2)
    assert np.isclose(kept + tally[1], np.sum(coefs**2), rtol=1e-13)  # rotations keep the norm
    changed_now = terms[2][: count[USED]] == 1
    alive = np.abs(terms[1][: count[USED]][changed_now])
    assert np.all((alive == 0) | (alive >= 0.5))


@pytest.mark.parametrize("kernel", versions(raised))
@pytest.mark.parametrize("threshold", [0.0, 0.1, 9.0])
def test_raised_threshold_drops_half(kernel, threshold):
    sizes = np.abs(np.random.default_rng(8).normal(size=101))
    got = kernel(sizes, 101, threshold)
    assert np.mean(sizes < got) >= 0.5
    assert got == threshold or np.mean(sizes < got / 2) < 0.5


@pytest.mark.parametrize("kernel", versions(at_start))
def test_value_in_a_product_state(kernel):
    rng = np.random.default_rng(9)
    codes, z = 3 * rng.integers(0, 2, (30, 40)), rng.random(40)
    codes[::4, 7] = 1
    coefs = rng.normal(size=30)
    want = np.sum(coefs * np.prod(np.where(codes == 3, z, 1.0 * (codes == 0)), axis=1))
    assert np.isclose(kernel(packed(codes), coefs, 30, z), want, rtol=1e-13)


@pytest.mark.parametrize("kernel", versions(cone))
def test_cone_follows_pairs_backwards(kernel):
    where = np.array([[-1, 4], [0, 1], [2, 3], [1, 2], [-1, 3], [3, 4]])
    inside = np.array([1, 0, 0, 0, 0], np.uint8)
    assert kernel(where, inside).tolist() == [0, 1, 0, 1, 0, 0]
    assert inside.tolist() == [1, 1, 1, 0, 0]
