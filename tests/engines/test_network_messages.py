"""The kernel that sends messages against one line of NumPy."""

import numpy as np
import pytest

from qdt_emu.engines.network_bp import environment, gauge_messages, outgoing, propagate
from qdt_emu.engines.network_evolve import evolve
from qdt_emu.engines.network_state import product_state
from qdt_emu.kernels import network_messages as kernels
from tests.engines.network_oracle import RING, TREE, random_gates


def grown(graph):
    start = product_state(graph, np.tile(np.array([1, 0], complex), (graph.n, 1)))
    return evolve(start, random_gates(np.random.default_rng(2), graph, 2), max_bond=6)


@pytest.mark.parametrize("compiled", [True, False])
def test_matrices_act_on_the_middle_of_three_axes(compiled):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 2)) + 1j * rng.normal(size=(3, 4, 2))
    env = rng.normal(size=(4, 4)) + 0j
    acted = kernels.acted if compiled else kernels.acted.py_func
    brought = kernels.brought if compiled else kernels.brought.py_func
    assert np.allclose(brought(x.reshape(-1), 3, 4, 2), x.transpose(1, 0, 2).reshape(4, 6))
    found = acted(x.reshape(-1), 3, 4, 2, env).reshape(3, 4, 2)
    assert np.allclose(found, np.einsum("ij,xjy->xiy", env, x))


@pytest.mark.parametrize("graph", [TREE, RING])
def test_messages_are_fixed_points(graph):
    state = grown(graph)
    messages = propagate(state, tolerance=1e-13)
    assert messages.residual <= 1e-13
    for q, legs in enumerate(graph.legs):
        ends = [graph.edges[k].index(q) for k in legs]
        inside = [
            environment(state, messages.to[k][end], k) for k, end in zip(legs, ends, strict=True)
        ]
        for axis, (k, end) in enumerate(zip(legs, ends, strict=True)):
            message = outgoing(state.tensors[q], inside, axis)
            message *= len(message) / np.trace(message).real
            w = state.weights[k]
            off = np.abs(message - messages.to[k][1 - end]) * np.outer(w, w)
            assert off.max() < 1e-12


def test_other_sites_neither_send_nor_listen():
    state = grown(RING)
    start = gauge_messages(state)
    some = propagate(state, start=start, sites={3, 4})
    for k, (a, b) in enumerate(RING.edges):
        for end, source in ((1, a), (0, b)):
            same = np.array_equal(some.to[k][end], start.to[k][end])
            assert same != (source in (3, 4) and {a, b} == {3, 4})
