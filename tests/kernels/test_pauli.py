"""Kernels against one line of NumPy, compiled and as Python."""

import numpy as np
import pytest

from qdt_emu.engines.pauli_bind import moving
from qdt_emu.kernels.pauli import (
    DRAWN,
    FREE,
    L1,
    L2,
    NEXT,
    SPACING,
    THRESHOLD,
    USED,
    at_start,
    draw,
    lowest,
    merge,
    multiply,
    raised,
    rename,
    settle,
    split,
    thin,
)
from qdt_emu.kernels.pauli_strings import cone, gathered, outside, support, touched, weight
from qdt_emu.kernels.pauli_walk import walk


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


def workspace(keys, coefs, room=256, threshold=0.0, drawn=64):
    """The arrays of a sum, its counters, its tally, and room for dropped strings."""
    held = np.zeros((room, keys.shape[1]), np.uint64)
    held[: len(keys)] = keys
    full = np.concatenate([coefs, np.zeros(room - len(coefs))])
    lists = [np.zeros(room + 1, np.int32) for _ in range(3)]
    terms = (held, full, *lists, np.zeros(2 * room, np.uint64), np.zeros(room, np.int32))
    tally = np.zeros(8)
    tally[[THRESHOLD, NEXT, SPACING]] = threshold, 1e-3, 2e-3
    sample = (np.zeros((drawn, keys.shape[1]), np.uint64), np.zeros(drawn, np.int64))
    return terms, np.array([len(keys), 0, 0, 1]), tally, sample


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


@pytest.mark.parametrize("kernel", versions(touched))
def test_touched_lists_what_takes_part(kernel):
    codes = strings(np.random.default_rng(5))
    moving = np.ones((1, 16), np.uint8)
    moving[0, [0, 1, 6, 11]] = 0
    code = 4 * codes[:, 3] + codes[:, 36]
    todo = np.empty(len(codes) + 1, np.int32)
    n = kernel(packed(codes), len(codes), place(3, 36), moving, todo)
    assert todo[:n].tolist() == np.flatnonzero(moving[0, code]).tolist()


@pytest.mark.parametrize("kernel", versions(gathered))
@pytest.mark.parametrize("stamp", [1, 2**20 - 1])
def test_groups_agree_on_all_other_qubits(kernel, stamp):
    codes = strings(np.random.default_rng(2))
    keys, clear, n = packed(codes), np.zeros(2, np.uint64), len(codes)
    outside(place(3, 36), clear)
    todo = np.arange(n, dtype=np.int32)
    heads, links, table = np.zeros(n, np.int32), np.zeros(n, np.int32), np.zeros(128, np.uint64)
    found = []
    for g in range(kernel(keys, todo, n, clear, stamp, heads, links, table)):
        found.append([t := int(heads[g])])
        while (t := int(links[t])) >= 0:
            found[-1].append(t)
    rest = np.delete(codes, [3, 36], axis=1)
    want = {tuple(np.flatnonzero((rest == row).all(1))) for row in rest}
    assert {tuple(sorted(group)) for group in found} == want
    assert len(found) == len(want)


@pytest.mark.parametrize("kernel", versions(settle))
def test_settle_closes_gaps(kernel):
    rng = np.random.default_rng(3)
    codes = strings(rng)
    keys, coefs = packed(codes), rng.normal(size=len(codes))
    coefs[::5] = 0
    before = total(keys, coefs, len(keys))
    terms, count, _, _ = workspace(keys, coefs)
    kernel(terms, count)
    assert count[:2].tolist() == [np.count_nonzero(coefs), 0]
    assert total(*terms[:2], count[USED]) == before


@pytest.mark.parametrize("kernel", versions(merge))
def test_merge_adds_equal_strings(kernel):
    rng = np.random.default_rng(9)
    codes = strings(rng)[rng.integers(0, 9, 30)]
    coefs = rng.normal(size=30)
    terms, count, _, _ = workspace(packed(codes), coefs.copy())
    kernel(terms, count)
    want = {tuple(k): coefs[(packed(codes) == k).all(1)].sum() for k in packed(codes).tolist()}
    assert total(*terms[:2], count[USED]) == pytest.approx(want)
    assert count[USED] - count[FREE] == len(want)


@pytest.mark.parametrize("kernel", versions(thin))
def test_thin_drops_the_smaller_half_when_there_is_no_room(kernel):
    rng = np.random.default_rng(3)
    codes = strings(rng)
    n, coefs = len(codes), rng.normal(size=len(codes))
    terms, count, tally, sample = workspace(packed(codes), coefs.copy(), room=n + 4)
    kernel(terms, 0, sample, count, tally)
    left = np.abs(terms[1][: count[USED]])
    assert np.count_nonzero(left) <= n / 2
    assert left[left > 0].min() >= tally[THRESHOLD]
    assert np.isclose(tally[L1] + left.sum(), np.abs(coefs).sum(), rtol=1e-13)


@pytest.mark.parametrize("kernel", versions(draw))
def test_sample_is_spread_evenly_over_dropped_squares(kernel):
    """Systematic: each string is there as often as its share of the squares, up to one."""
    rng = np.random.default_rng(4)
    sizes, keys = rng.random(300), np.arange(300, dtype=np.uint64)[:, None]
    _, count, tally, sample = workspace(keys[:5], np.ones(5), drawn=50)
    for i, size in enumerate(sizes):
        kernel(keys, i, size, i, sample, count, tally)
    assert np.isclose(tally[L2], (sizes**2).sum(), rtol=1e-13)
    assert np.isclose(tally[L1], sizes.sum(), rtol=1e-13)
    drawn = count[DRAWN]
    assert abs(drawn * tally[SPACING] - tally[L2]) <= 2 * tally[SPACING]
    assert np.array_equal(sample[0][:drawn, 0], sample[1][:drawn])
    at = np.searchsorted(np.cumsum(sizes**2), (np.arange(drawn) + 0.5) * tally[SPACING])
    assert np.all(np.abs(sample[1][:drawn] - at) <= 25)


@pytest.mark.parametrize("kernel", versions(lowest))
def test_lowest_bit(kernel):
    assert [kernel(b) for b in (1, 2, 12, 0x8000, 0xF0F0)] == [0, 1, 2, 15, 4]


@pytest.mark.parametrize("kernel", versions(split))
def test_split_keeps_what_reaches_its_limit(kernel):
    rng = np.random.default_rng(5)
    out, limit, tally = rng.normal(size=16), np.full(16, 0.5), np.zeros(8)
    out[3] = 0.0
    tally[NEXT] = 100.0
    kept = np.abs(out) >= 0.5
    assert kernel(out, limit, tally) == int(np.sum(kept << np.arange(16)))
    assert np.isclose(tally[L2], np.sum(out[~kept] ** 2), rtol=1e-13)
    tally[NEXT] = 0.0
    assert kernel(out, limit, tally) == -1 - int(np.sum(kept << np.arange(16)))


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
    terms, count, tally, sample = workspace(packed(codes), coefs)
    row = (None, None, target[None].astype(np.uint8), weights[None])
    kernel(terms, np.zeros(1, int), place(a, b)[None], row, sample, count, tally)
    assert total(*terms[:2], count[USED]) == pytest.approx(total(packed(want), scaled, len(want)))


@pytest.mark.parametrize("kernel", versions(multiply))
@pytest.mark.parametrize(("a", "b"), [(3, 36), (36, 3), (-1, 10)])
@pytest.mark.parametrize("filled", [1.0, 0.3])
@pytest.mark.parametrize("pull", [False, True])
def test_a_map_is_a_matrix_on_two_axes(kernel, a, b, filled, pull):
    """Without threshold, against the dense coefficient tensor of the three active qubits."""
    rng = np.random.default_rng(6)
    codes = strings(rng)
    coefs = rng.normal(size=len(codes))
    dense = np.zeros((4, 4, 4))
    dense[tuple(codes[:, [3, 10, 36]].T)] = coefs
    matrix, size = random_map(rng, 4 if a < 0 else 16, filled, pull=pull), 4 if a < 0 else 16
    if a < 0:
        want = np.einsum("abc,bx->axc", dense, matrix[:4, :4])
    else:
        other = matrix.reshape(4, 4, 4, 4)
        spec = {(3, 36): "abc,acxz->xbz", (36, 3): "abc,cazx->xbz"}[a, b]
        want = np.einsum(spec, dense, other)
    assert size in (4, 16)
    terms, count, tally, sample = workspace(packed(codes), coefs)
    applied(kernel, terms, count, tally, sample, place(a, b), matrix)
    got = np.zeros((4, 4, 4))
    after = unpacked(terms[0][: count[USED]], 40).astype(int)
    np.add.at(got, tuple(after[:, [3, 10, 36]].T), terms[1][: count[USED]])
    got[0, 0, 0] += tally[5]
    assert np.allclose(got, want, rtol=0, atol=1e-13)
    assert count[FREE] == np.count_nonzero(terms[1][: count[USED]] == 0)
    assert not tally[[L1, L2]].any()


def random_map(rng, size, filled, *, pull=False):
    matrix = np.eye(16)
    block = rng.normal(size=(size - 1, size)) * (rng.random((size - 1, size)) < filled)
    block[:, 0] *= pull
    matrix[1:size, :size] = block
    return matrix


def applied(kernel, terms, count, tally, sample, where, matrix):
    keys, _, todo, heads, links, table, _ = terms
    clear = np.zeros(keys.shape[1], np.uint64)
    outside(where, clear)
    changed = touched(keys, count[USED], where, moving(matrix[None]), todo)
    groups = gathered(keys, todo, changed, clear, 1, heads, links, table)
    kernel(terms, groups, where, 0, matrix, sample, count, tally, np.ones(99))


@pytest.mark.parametrize("kernel", versions(multiply))
def test_a_map_accounts_for_all_it_drops(kernel):
    rng = np.random.default_rng(7)
    codes = strings(rng)
    coefs = 0.6 + rng.random(len(codes))
    matrix = np.eye(16)
    matrix[1:4, 1:4] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    terms, count, tally, sample = workspace(packed(codes), coefs.copy(), threshold=0.5)
    applied(kernel, terms, count, tally, sample, place(-1, 3), matrix)
    kept = terms[1][: count[USED]]
    assert tally[L2] > 0
    assert count[DRAWN] > 0
    assert np.isclose(np.sum(kept**2) + tally[L2], np.sum(coefs**2), rtol=1e-13)  # a rotation
    assert np.all((kept == 0) | (np.abs(kept) >= 0.5))


@pytest.mark.parametrize("kernel", versions(walk))
def test_walks_average_to_the_squares_of_the_branches(kernel):
    """One turn Z -> cos Z + sin Y, then one with damping; false alarm rate 1e-6."""
    n, c, s, f = 4000, np.cos(0.7), np.sin(0.7), 0.9
    matrix = np.eye(16)
    matrix[2:4, 2:4] = [[c, -s], [s, c]]
    matrices = np.stack([matrix, f * matrix])
    where = np.stack([place(-1, 0, 0), place(-1, 0, 1)])
    keys, out = np.full((n, 1), 3, np.uint64), np.zeros((2, n))
    after = np.full(n, -1)
    kernel(keys, after, n, where, matrices, moving(matrices), np.ones(1), out)
    want = f**2 * (c**4 + s**4)
    assert np.allclose(out[1], f**2)
    assert abs(out[0].mean() - want) < 5 * f**2 / np.sqrt(n)


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
