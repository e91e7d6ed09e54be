from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.engines.chain import arrange, couplings, cut_widths, route
from qdt_emu.engines.statevector_blocks import Block


def grid(rows, columns):
    """Couplings of a square lattice."""
    across = {(r * columns + c, r * columns + c + 1): 1.0
              for r in range(rows) for c in range(columns - 1)}  # fmt: skip
    down = {(r * columns + c, (r + 1) * columns + c): 1.0
            for r in range(rows - 1) for c in range(columns)}  # fmt: skip
    return across | down


def chained(pairs):
    """Blocks on pairs in a row, each after the earlier ones on its qubits."""
    blocks = []
    for pair in pairs:
        before = {k for k, b in enumerate(blocks) if set(b.qubits) & set(pair)}
        blocks.append(Block(tuple(pair), before=before))
    return blocks


def check(blocks, path):
    """Assert that every block runs once, after its predecessors, on neighbours."""
    site, done = list(path.start), set()
    for k, left in path.steps:
        if k < 0:
            a, b = site.index(left), site.index(left + 1)
            site[a], site[b] = left + 1, left
            continue
        assert blocks[k].before <= done
        sites = sorted(site[q] for q in blocks[k].qubits)
        assert sites == list(range(left, left + len(sites)))
        done.add(k)
    assert done == set(range(len(blocks)))
    assert tuple(site) == path.final


def test_a_line_in_any_numbering_comes_out_as_a_line():
    for seed in range(5):
        names = np.random.default_rng(seed).permutation(30)
        weights = {tuple(sorted((int(a), int(b)))): 1.0
                   for a, b in pairwise(names)}  # fmt: skip
        chain = arrange(30, weights)
        assert list(chain.order) in (names.tolist(), names[::-1].tolist())
        assert chain.widths == (1.0,) * 29


@pytest.mark.parametrize(("rows", "columns"), [(3, 8), (4, 4), (2, 15)])
def test_a_grid_is_cut_across_its_short_side(rows, columns):
    names = np.random.default_rng(0).permutation(rows * columns)
    weights = {tuple(sorted((int(names[a]), int(names[b])))): w
               for (a, b), w in grid(rows, columns).items()}  # fmt: skip
    chain = arrange(rows * columns, weights)
    assert sorted(chain.order) == list(range(rows * columns))
    assert max(chain.widths) <= min(rows, columns) + 1


def test_a_ring_is_folded_or_carries_one_long_bond():
    chain = arrange(20, {tuple(sorted((q, (q + 1) % 20))): 1.0 for q in range(20)})
    assert max(chain.widths) == 2


def test_cut_widths_count_what_crosses():
    pairs, w = np.array([[0, 1], [0, 3], [1, 2]]), np.array([1.0, 2.0, 4.0])
    order = np.array([2, 0, 1, 3])
    expected = [
        sum(x for (a, b), x in zip(pairs, w, strict=True)
            if (a in order[: k + 1]) != (b in order[: k + 1]))
        for k in range(3)
    ]  # fmt: skip
    np.testing.assert_array_equal(cut_widths(order, pairs, w), expected)


def travelled(path):
    """Sites that a centre passes which may stand on either site of a step, before and after it."""
    total, at = 0, {0}
    for _, left in path.steps:
        reach = {site: min(abs(site - a) for a in at) for site in (left, left + 1)}
        total += min(reach.values())
        at = {left, left + 1}
    return total


def test_a_brick_circuit_is_passed_with_less_than_a_site_between_blocks():
    layers, n = 10, 40
    blocks = chained([(a, a + 1) for layer in range(layers) for a in range(layer % 2, n - 1, 2)])
    path = route(blocks, arrange(n, couplings(blocks)))
    check(blocks, path)
    assert path.swaps == 0
    # Layer by layer it would be one site for each block and the way back in every second layer.
    assert travelled(path) < len(blocks)


def test_a_block_that_may_act_from_afar_is_not_brought_together():
    blocks = chained([(0, 1), (1, 2), (0, 3), (2, 3), (0, 3)])
    blocks[2].apart = blocks[4].apart = True
    path = route(blocks, arrange(4, {(0, 1): 1.0, (1, 2): 1.0, (2, 3): 1.0}))
    assert path.swaps == 0
    assert path.final == path.start
    order = [k for k, _ in path.steps]
    assert sorted(order) == list(range(5))
    assert all(order.index(j) < order.index(k) for k in range(5) for j in blocks[k].before)
    assert [site for k, site in path.steps if blocks[k].apart] == [0, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(0, 40), st.integers(0, 10**6))
def test_any_circuit_is_routed(n, gates, seed):
    rng = np.random.default_rng(seed)
    pairs = [tuple(int(q) for q in rng.permutation(n)[: rng.integers(1, 3)]) for _ in range(gates)]
    blocks = chained(pairs)
    path = route(blocks, arrange(n, couplings(blocks)))
    check(blocks, path)


def test_no_couplings_and_one_qubit_are_fine():
    assert arrange(1, {}).widths == ()
    assert arrange(3, {}).order == (0, 1, 2)
    assert route([], arrange(3, {})).steps == ()
