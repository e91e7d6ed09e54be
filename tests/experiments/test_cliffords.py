"""Random Cliffords are drawn uniformly, and circuits do what their images say."""

from collections import Counter

import numpy as np
import pytest
from qiskit.quantum_info import Clifford, Operator
from scipy.stats import chi2

from qdt_emu.device import ideal
from qdt_emu.experiments.cliffords import (
    LOCAL,
    after,
    both,
    images_of,
    inverse,
    number,
    one,
    two_qubit,
    write_word,
)
from qdt_emu.experiments.pulses import Pen

GATES = ("cz", "ecr", "cx")


def ordered(circuit) -> np.ndarray:
    """The circuit's unitary with qubit 0 most significant."""
    return Operator(circuit).reverse_qargs().data


def test_the_groups_have_their_sizes():
    assert len({x.tobytes() for x in one()}) == 24
    for gate in GATES:
        sizes = Counter(kind for kind, _, _ in two_qubit(gate).table.values())
        assert sizes == {0: 576, 1: 5184, 2: 5184, 3: 576}


def test_words_are_drawn_uniformly():
    # Chi-square over 11520 Cliffords would need 1e5 draws; the first Pauli's 30 images do.
    # False-alarm rate 1e-4.
    group, rng = two_qubit("cz"), np.random.default_rng(1)
    draws = 3000
    seen = Counter(int(group.images(group.draw(rng))[1]) for _ in range(draws))
    assert len(seen) == 30
    statistic = sum((n - draws / 30) ** 2 / (draws / 30) for n in seen.values())
    assert statistic < chi2.isf(1e-4, 29)


@pytest.mark.parametrize("gate", GATES)
def test_written_words_are_the_cliffords_they_stand_for(gate):
    group, rng = two_qubit(gate), np.random.default_rng(2)
    for _ in range(10):
        word = group.draw(rng)
        pen = Pen.new(ideal(2), 0)
        for k, layer in enumerate(word.layers):
            if k:
                getattr(pen.circuit, gate)(0, 1)
            for q, index in enumerate(layer):
                pen.clifford(q, index)
        found = images_of(ordered(pen.circuit))
        assert (found == group.images(word)).all()
        assert (group.images(group.word(found)) == found).all()
        assert (after(inverse(found), found) == np.arange(1, 17)).all()
        Clifford(pen.circuit)  # Qiskit agrees that it is one


def test_single_qubit_cliffords_side_by_side():
    rng = np.random.default_rng(3)
    for a, b in rng.integers(LOCAL, size=(10, 2)).tolist():
        pen = Pen.new(ideal(2), 0)
        pen.clifford(0, a)
        pen.clifford(1, b)
        assert (images_of(ordered(pen.circuit)) == both(one()[a], one()[b])).all()
        assert number(one()[a]) == a


def test_writing_a_word_uses_the_device_s_own_gate():
    pen = Pen.new(ideal(2), 0)
    word = two_qubit("cz").draw(np.random.default_rng(4))
    write_word(pen, (0, 1), word)
    assert pen.circuit.count_ops().get("cz", 0) == len(word.layers) - 1
    assert pen.circuit.count_ops()["sx"] == 4 * len(word.layers)
