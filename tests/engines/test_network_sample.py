"""Bits from graph tensor networks: the law they follow, and what a certificate says of it."""

from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2

from qdt_emu.engines.network_evolve import evolve
from qdt_emu.engines.network_sample import certificate, draw
from qdt_emu.engines.network_state import Graph, GraphState, product_state
from qdt_emu.engines.network_sweep import sweep
from qdt_emu.errors import InputError, UnsupportedError
from tests.engines.kicked_ising import EDGES, N, rx, rzz

FALSE_ALARM = 1e-6


def graph(n, edges):
    return Graph(n, tuple(sorted(tuple(sorted(e)) for e in edges)))


def grid(rows, columns):
    at = np.arange(rows * columns).reshape(rows, columns)
    across = zip(at[:, :-1].ravel(), at[:, 1:].ravel(), strict=True)
    down = zip(at[:-1].ravel(), at[1:].ravel(), strict=True)
    return graph(rows * columns, [(int(a), int(b)) for a, b in (*across, *down)])


CHAIN = graph(9, [(i, i + 1) for i in range(8)])
SHUFFLED = graph(7, [(3, 0), (0, 5), (5, 1), (1, 6), (6, 2), (2, 4)])
TREE = graph(10, [((i - 1) // 3, i) for i in range(1, 10)])
PARTS = graph(8, [(0, 3), (3, 5), (1, 2), (2, 6), (1, 6)])  # a path, a triangle, two single sites
LOOP = graph(13, [(i, (i + 1) % 12) for i in range(12)] + [(2, 12)])
K33 = graph(6, product(range(3), range(3, 6)))  # not planar
HEAVY = graph(N, EDGES)
EXACT = {"chain": CHAIN, "shuffled": SHUFFLED, "tree": TREE}
LOOPY = {"parts": PARTS, "loop": LOOP, "grid": grid(3, 3), "k33": K33}


def random_state(where, bond, seed):
    """Random tensors in no particular gauge, with bonds of random dimensions."""
    rng = np.random.default_rng(seed)
    dims = rng.integers(1, bond + 1, len(where.edges))
    shapes = [(*(dims[e] for e in legs), 2) for legs in where.legs]
    tensors = tuple(rng.normal(size=s) + 1j * rng.normal(size=s) for s in shapes)
    weights = [np.sort(rng.uniform(0.1, 1, d))[::-1] for d in dims]
    return GraphState(where, tensors, tuple(w / np.linalg.norm(w) for w in weights))


@lru_cache
def kicked(where, steps, theta, bond):
    state = product_state(where, np.tile([1.0 + 0j, 0], (where.n, 1)))
    layer = [((q,), rx(theta)) for q in range(where.n)]
    layer += [(edge, rzz(-np.pi / 2)) for edge in where.edges]
    return evolve(state, layer * steps, max_bond=bond)


def amplitudes(state):
    """All amplitudes, qubit 0 most significant, by contracting site by site."""
    out, open_edges = np.ones(1, complex).reshape(1), []
    for site, legs in enumerate(state.graph.legs):
        tensor = np.array(state.tensors[site])
        own = [e for e in legs if e in open_edges]
        for e in set(legs) - set(own):
            shape = [1] * tensor.ndim
            shape[legs.index(e)] = -1
            tensor = tensor * state.weights[e].reshape(shape)
        out = np.tensordot(
            out, tensor, ([1 + open_edges.index(e) for e in own], [legs.index(e) for e in own])
        )
        open_edges = [e for e in open_edges if e not in own] + [e for e in legs if e not in own]
        out = np.moveaxis(out, -1, 1)
        out = out.reshape(-1, *out.shape[2:])
    return out


def law(state):
    p = np.abs(amplitudes(state)) ** 2
    return p / p.sum(), np.log(p.sum())


def number(bits):
    return bits @ (1 << np.arange(bits.shape[1])[::-1])


def everything(state, **settings):
    """q(x) and log p / q for all bitstrings x: a number of 0 makes a bit 1, one of almost 1, 0."""
    n = state.graph.n
    bits = np.array(list(product((0, 1), repeat=n)), np.uint8)
    drawn = draw(state, tuple(range(n)), np.where(bits == 1, 0.0, 1 - 1e-16), **settings)
    np.testing.assert_array_equal(drawn.bits, bits)
    p = np.abs(amplitudes(state)) ** 2
    return p / np.exp(drawn.log_ratio), drawn.log_ratio


def chain_rule(p, order, uniforms):
    """Bits by conditional probabilities from the whole distribution."""
    n = len(order)
    out = np.zeros(uniforms.shape, np.uint8)
    for row, u in zip(out, uniforms, strict=True):
        left = p.reshape((2,) * n)
        for k, q in enumerate(order):
            axis = q - sum(o < q for o in order[:k])
            one = np.moveaxis(left, axis, 0)
            row[q] = u[q] < one[1].sum() / one.sum()
            left = one[row[q]]
    return out


def fits(bits, p):
    """Whether samples follow a law: chi squared, cells expecting fewer than 8 together."""
    count = np.bincount(number(bits), minlength=len(p))
    expected = p * len(bits)
    rare = expected < 8
    count = np.append(count[~rare], count[rare].sum())
    expected = np.append(expected[~rare], max(expected[rare].sum(), 1e-9))
    return ((count - expected) ** 2 / expected).sum() < chi2.isf(FALSE_ALARM, len(count) - 1)


@pytest.mark.parametrize("name", [*EXACT, *LOOPY])
def test_a_sweep_visits_every_site_once_with_its_swept_bonds_side_by_side(name):
    where = (EXACT | LOOPY)[name]
    line = []
    for step in sweep(where):
        for p in step.swaps:
            line[p], line[p + 1] = line[p + 1], line[p]
        assert tuple(line[step.first : step.first + len(step.inner)]) == step.inner
        line[step.first : step.first + len(step.inner)] = step.outer
        assert sorted(step.inner + step.outer) == list(where.legs[step.site])
    assert not line
    assert sorted(s.site for s in sweep(where)) == list(range(where.n))


@pytest.mark.parametrize(("where", "most"), [(HEAVY, 5), (grid(6, 6), 7), (CHAIN, 1)])
def test_planar_chips_are_swept_without_swaps_and_with_few_bonds_cut(where, most):
    cut = np.cumsum([len(s.outer) - len(s.inner) for s in sweep(where)])
    assert cut.max() <= most
    assert not any(s.swaps for s in sweep(where))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("message_bond", [1, 3])
def test_on_trees_bits_are_those_of_the_chain_rule_in_any_gauge(name, message_bond):
    state = random_state(EXACT[name], 4, 1)
    p, norm = law(state)
    uniforms = np.random.default_rng(2).random((200, state.graph.n))
    order = [s.site for s in sweep(state.graph)]
    all_of_them = tuple(range(state.graph.n))
    drawn = draw(state, all_of_them, uniforms, message_bond=message_bond, levels=2, cutoff=1e-14)
    np.testing.assert_array_equal(drawn.bits, chain_rule(p, order, uniforms))
    np.testing.assert_allclose(drawn.log_ratio, norm, atol=1e-10)


@pytest.mark.parametrize("name", LOOPY)
def test_with_messages_of_full_rank_loops_are_exact_too(name):
    state = random_state(LOOPY[name], 3, 4)
    p, norm = law(state)
    uniforms = np.random.default_rng(5).random((200, state.graph.n))
    settings = {"message_bond": 81, "levels": 3, "cutoff": 1e-14}
    drawn = draw(state, tuple(range(state.graph.n)), uniforms, **settings)
    order = [s.site for s in sweep(state.graph)]
    np.testing.assert_array_equal(drawn.bits, chain_rule(p, order, uniforms))
    np.testing.assert_allclose(drawn.log_ratio, norm, atol=1e-9)


def test_samples_of_a_tree_follow_its_law():
    """Chi squared, false alarm 1e-6, with the settings a user gets."""
    state = kicked(TREE, 3, 0.9, 8)
    p, _ = law(state)
    drawn = draw(state, tuple(range(10)), np.random.default_rng(0).random((2000, 10)), weighed=0)
    assert fits(drawn.bits, p)
    assert len(drawn.log_ratio) == 0


def test_a_heavy_hexagon_follows_the_statevector():
    """A loop of 12 qubits with a tail, 4 steps: chi squared, false alarm 1e-6."""
    psi = np.zeros((2,) * 13, complex)
    psi[(0,) * 13] = 1
    for _ in range(4):
        for q in range(13):
            psi = np.moveaxis(np.tensordot(rx(0.8), psi, (1, q)), 0, q)
        for a, b in LOOP.edges:
            gate = np.diag(rzz(-np.pi / 2)).reshape(2, 2)
            shape = [2 if q in (a, b) else 1 for q in range(13)]
            psi = psi * gate.reshape(shape)
    state = kicked(LOOP, 4, 0.8, 64)
    drawn = draw(state, tuple(range(13)), np.random.default_rng(1).random((2000, 13)), weighed=0)
    assert fits(drawn.bits, np.abs(psi.ravel()) ** 2)


@pytest.mark.parametrize("name", ["parts", "grid", "k33"])
@pytest.mark.parametrize("message_bond", [1, 2, 4])
def test_drawing_probabilities_sum_to_one(name, message_bond):
    """So no outcome is lost, even where cut operators give it a negative chance."""
    state = random_state(LOOPY[name], 3, 7)
    q, _ = everything(state, message_bond=message_bond, levels=2, cutoff=1e-14)
    assert q.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("message_bond", [1, 4])
def test_weighted_means_are_those_of_the_state(message_bond):
    """A 3 x 3 grid, far from exact without weights: five standard errors, false alarm 5e-7."""
    state = kicked(grid(3, 3), 2, 0.8, 8)
    p, _ = law(state)
    shots = 2000
    uniforms = np.random.default_rng(3).random((shots, 9))
    drawn = draw(state, tuple(range(9)), uniforms, message_bond=message_bond)
    w = np.exp(drawn.log_ratio)
    w /= w.mean()
    signs = 1 - 2 * np.array(list(product((0, 1), repeat=9)))
    for a, b in ((0, 0), (4, 4), (0, 8), (3, 4)):
        value = (
            (1 - 2.0 * drawn.bits[:, a]) * (1 - 2.0 * drawn.bits[:, b])
            if a != b
            else (1 - 2.0 * drawn.bits[:, a])
        )
        exact = p @ (signs[:, a] * signs[:, b] if a != b else signs[:, a])
        error = np.std(w * (value - exact)) / np.sqrt(shots)
        assert abs((w * value).mean() - exact) < 5 * error + 1e-9


def test_more_messages_bring_the_drawing_law_closer():
    state = kicked(grid(3, 3), 2, 0.8, 8)
    p, _ = law(state)
    distance = [
        0.5 * np.abs(everything(state, message_bond=m, levels=4, cutoff=1e-12)[0] - p).sum()
        for m in (1, 4, 8)
    ]
    assert distance[0] > 1.5 * distance[1] > 0.01
    assert distance[2] < 1e-9


@pytest.mark.parametrize("message_bond", [1, 64])
def test_outcomes_that_cannot_be_get_no_weight(message_bond):
    """Clifford angles: most bitstrings have probability 0, which products of messages ignore."""
    state = kicked(LOOP, 3, np.pi / 2, 64)
    state = evolve(state, [((q,), rx(np.pi / 2)) for q in range(13)], max_bond=64)
    p, norm = law(state)
    uniforms = np.random.default_rng(3).random((200, 13))
    drawn = draw(state, tuple(range(13)), uniforms, message_bond=message_bond, levels=8)
    possible = p[number(drawn.bits)] > 1e-9
    np.testing.assert_array_equal(np.isfinite(drawn.log_ratio), possible)
    if message_bond > 1:
        assert possible.all()
        np.testing.assert_allclose(drawn.log_ratio, norm, atol=1e-6)


def test_some_qubits_measured_are_the_marginal_of_all():
    state = kicked(LOOP, 4, 0.8, 64)
    p, _ = law(state)
    uniforms = np.random.default_rng(8).random((1000, 13))
    some = (11, 2, 5)
    drawn = draw(state, some, uniforms, weighed=0)
    both = draw(state, tuple(range(13)), uniforms, weighed=0)
    np.testing.assert_array_equal(drawn.bits, both.bits[:, list(some)])
    kept = p.reshape((2,) * 13).sum(axis=tuple(q for q in range(13) if q not in some))
    assert fits(drawn.bits, kept.transpose(2, 0, 1).ravel())


def test_threads_and_shots_drawn_alone_change_nothing():
    state = kicked(grid(3, 3), 3, 0.8, 8)
    uniforms = np.random.default_rng(3).random((80, 9))
    one = draw(state, tuple(range(9)), uniforms, message_bond=4)
    two = draw(state, tuple(range(9)), uniforms, message_bond=4, threads=2)
    np.testing.assert_array_equal(one.bits, two.bits)
    np.testing.assert_array_equal(one.log_ratio, two.log_ratio)
    alone = draw(state, tuple(range(9)), uniforms[70:71], message_bond=4)
    np.testing.assert_array_equal(alone.bits[0], one.bits[70])
    np.testing.assert_allclose(alone.log_ratio[0], one.log_ratio[70], rtol=1e-6)


def test_a_certificate_without_any_weight_is_one():
    found = certificate(np.full(5, -np.inf))
    assert (found.effective, found.total_variation, found.bound) == (0, 1, 1)


def test_the_certificate_of_an_exact_law_is_zero():
    state = kicked(CHAIN, 4, 0.8, 16)
    drawn = draw(state, tuple(range(9)), np.random.default_rng(0).random((50, 9)), cutoff=1e-14)
    found = certificate(drawn.log_ratio)
    assert found.effective == pytest.approx(1)
    assert found.bound < 1e-6
    assert found.spread < 1e-10


@pytest.mark.slow
def test_the_certificate_covers_the_true_distance():
    """Bound at 95 % confidence from 50 shots, 200 random laws: at least 190 hold."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        state = random_state(LOOPY[("grid", "k33")[seed % 2]], 3, seed)
        q, _ = everything(state, message_bond=1 + seed % 3, levels=2, cutoff=1e-14)
        p, _ = law(state)
        rows = rng.choice(len(q), 50, p=q / q.sum())
        bound = certificate(np.log(p[rows]) - np.log(q[rows])).bound
        covered += bound >= 0.5 * np.abs(p - q).sum()
    assert covered >= 190


@pytest.mark.slow
def test_heavy_hexagons_of_127_qubits_draw_with_a_certificate():
    """Five steps: messages along the boundary at least halve the spread of products."""
    state = kicked(HEAVY, 5, 0.7, 16)
    uniforms = np.random.default_rng(0).random((32, N))
    found = [certificate(draw(state, (0,), uniforms, message_bond=m).log_ratio) for m in (1, 8)]
    assert found[1].spread < 0.5 * found[0].spread
    assert found[1].effective > 0.8


def test_what_does_not_fit_is_refused():
    state = kicked(CHAIN, 1, 0.8, 2)
    uniforms = np.zeros((2, 9))
    with pytest.raises(InputError, match=r"shape \(shots, 9\), but has \(2, 3\)"):
        draw(state, (0,), np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"sites 0 \.\. 8, but one is 9"):
        draw(state, (9,), uniforms)
    with pytest.raises(InputError, match="`message_bond` must be at least 1, but is 0"):
        draw(state, (0,), uniforms, message_bond=0)
    with pytest.raises(InputError, match="at least two"):
        certificate(np.zeros(1))
    mixed = product_state(CHAIN, np.tile([1.0, 0, 0, 1], (9, 1)))
    with pytest.raises(UnsupportedError, match="physical dimension 2"):
        draw(mixed, (0,), uniforms)
