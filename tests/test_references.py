"""Published values of the 127-qubit kicked Ising circuit in every engine that can give them.

Exact values: light-cone statevectors and an independent code, equal to 1e-13; tables by exact
tensor networks of two groups, equal to 3e-8 (github.com/tbegusic/arxiv-2308.05077-data, MIT). After
20 steps four converged methods differ by up to 0.05, so that only angles where they agree count.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from qdt_emu.engines.contraction import Contraction
from qdt_emu.engines.density import Density
from qdt_emu.engines.mpo import Mpo
from qdt_emu.engines.mps import MPS
from qdt_emu.engines.network import Network
from qdt_emu.engines.pauli import Pauli
from qdt_emu.engines.statevector import Statevector
from tests.engines import kicked_ising as ising

# <Z62> after 1 to 5 steps at theta 0.7, 1.2 and pi/4; mean <Z> at 0.7.
Z62 = {
    0.7: (0.76484218728449, 0.58498357145012, 0.63310681221713, 0.61885383179688, 0.63870894551916),
    1.2: (0.36235775447667, 0.13130314222938, 0.08891018918879, 0.04383447558169, 0.04877182062305),
    np.pi / 4: (0.70710678118655, 0.5, 0.53033008588991, 0.48828125, 0.51941101755250),
}
MEAN = (0.76484218728449, 0.75511918987484, 0.63774805253996, 0.63720619608671, 0.58247570605742)

# theta = k pi / 32: mean <Z>, W10 and W17 after 5 steps, W17x after 5 and another RX, Z62 after 9.
TABLE = np.loadtxt("""
 0 1            0              0              0              1
 1 0.9951313490 -2.4830257e-05 6.1447769e-10  9.2532470e-16  0.9953126311
 2 0.9798356526 -6.0111001e-04 1.2281372e-07  6.7315701e-11  0.9813357592
 3 0.9514899079 -0.0029949822  1.0927975e-06  8.7679208e-09  0.9519783258
 4 0.9048427075 -0.0077148018  2.9323229e-06  -9.5134521e-08 0.8988220692
 5 0.8331335938 -0.0146206254  9.6575285e-06  -1.9849809e-06 0.8282237649
 6 0.7314640558 -0.0233922622  3.0563262e-05  -1.1773278e-05 0.7442229390
 7 0.6011037347 -0.0281306341  3.7800714e-05  -4.0466542e-05 0.6317830682
 8 0.4528038692 -0.0128408955  -4.3617257e-05 -8.4584059e-05 0.4783481359
 9 0.3056804743 0.0315001447   -8.6205680e-04 -2.1337900e-04 0.2888529897
10 0.1803167876 0.0943014934   -0.0073791329  -0.0016347636  0.1235056072
11 0.0903008799 0.1788541479   -0.0385284951  -0.0127149087  0.0360361524
12 0.0372627786 0.3174750564   -0.1334076356  -0.0651462378  0.0075681480
13 0.0122602507 0.5213555932   -0.3302671816  -0.2216198099  0.0011570122
14 0.0029363587 0.7490256994   -0.6151782938  -0.5164016332  8.6170032e-05
15 3.2444119e-04 0.9303109906  -0.8863112893  -0.8486253586  8.1772669e-07
16 0            1              -1             -1             0
""".splitlines())[:, 1:]  # fmt: skip
COLUMN = {"W10": 1, "W17": 2, "W17X": 3}
STRING = {"W10": ising.W10, "W17": ising.W17, "W17X": ising.W17X, "Z62": "Z62"}

# <Z62> after 20 steps by three converged methods (mixed Schroedinger and Heisenberg, PEPO, PEPS).
AFTER_20 = np.array(
    [
        (1.00001, 1.00000, 0.99998),
        (0.99559, 0.99597, 0.99447),
        (0.97875, 0.97959, 0.97755),
        (0.92581, 0.92475, 0.92394),
        (0.84941, 0.84962, 0.84981),
        (0.79701, 0.79608, 0.79369),
        (0.68088, 0.68622, 0.67971),
        (0.51105, 0.51802, 0.50912),
        (0.26859, 0.26516, 0.25481),
    ]
)

IDEAL = np.array([1.0, 0.0])
NETWORK = Network(max_bond=16)


def angle(k):
    return k * np.pi / 32


def ask(engine, structure, values, paulis):
    readout = np.tile(IDEAL, (structure.n_qubits, 1))
    state = engine.prepare(structure)
    return engine.estimate(state, values, paulis, readout, shots=1, seed=0)


@lru_cache
def ball(center, radius):
    """Qubits within `radius` couplers of one, ascending."""
    found = {center}
    for _ in range(radius):
        found |= {q for edge in ising.EDGES for q in edge if found & set(edge)}
    return tuple(sorted(found))


def cone(steps, center=62):
    """The circuit on the light cone of <Z>: exact, as the last couplings commute with Z."""
    qubits = ball(center, steps - 1)
    place = {q: k for k, q in enumerate(qubits)}
    whole = ising.structure(steps)
    ops = tuple(
        replace(op, qubits=tuple(place[q] for q in op.qubits))
        for op in whole.operations
        if set(op.qubits) <= set(qubits)
    )
    paulis = np.zeros((1, len(qubits)), np.uint8)
    paulis[0, place[center]] = 3
    return replace(whole, operations=ops, n_qubits=len(qubits), qubits=qubits), paulis


def on_cone(theta, n):
    values = ising.values(theta)
    return replace(values, excited=np.zeros(n), detuning=np.zeros((n, 2)))


# Engines without a cut, and the most steps (light cones of 1, 4, 7, 13, 19 qubits) that suit them.
EXACT = {
    "density": (Density(), 4),
    "statevector": (Statevector(precision="double"), 4),
    "pauli": (Pauli(threshold=0.0), 4),
    "contraction": (Contraction(), 5),
    "mps": (MPS(max_bond=64, cutoff=0.0), 3),
    "mpo": (Mpo(max_bond=256, cutoff=0.0), 3),
    "network": (Network(max_bond=32, cutoff=0.0), 5),  # cones are trees: girth 12
}


@pytest.mark.parametrize("theta", Z62)
@pytest.mark.parametrize("name", EXACT)
def test_one_to_five_steps_to_ten_digits(name, theta):
    engine, most = EXACT[name]
    for steps, want in enumerate(Z62[theta][:most], start=1):
        structure, paulis = cone(steps)
        got = ask(engine, structure, on_cone(theta, structure.n_qubits), paulis)
        assert abs(got.values[0] - want) < 1e-10, steps
        assert got.stderr[0] < 1e-10
        assert got.truncation < 1e-8


def test_cones_have_the_published_sizes():
    assert [len(ball(62, r)) for r in range(6)] == [1, 4, 7, 13, 19, 31]


slow = pytest.mark.slow


@pytest.mark.parametrize("steps", [1, 2, *(pytest.param(k, marks=slow) for k in (3, 4, 5))])
def test_mean_of_all_z(steps):
    every = ising.codes(*(f"Z{q}" for q in range(ising.N)))
    got = ask(Contraction(), ising.structure(steps), ising.values(0.7), every)
    assert abs(got.values.mean() - MEAN[steps - 1]) < 1e-10


def measured_by(engine, name, k):
    structure = ising.structure(5, last_rx=name == "W17X")
    return ask(engine, structure, ising.values(angle(k)), ising.codes(STRING[name]))


ALL = [(name, k) for name in COLUMN for k in range(17)]
ENDS = [("W10", 2), ("W17", 1), ("W17", 15), ("W17X", 1)]


@pytest.mark.parametrize("k", range(17))
def test_w10_by_contraction(k):
    """Also at pi/4, where its terms cancel."""
    want = TABLE[k, COLUMN["W10"]]
    assert abs(measured_by(Contraction(), "W10", k).values[0] - want) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("k", range(17))
def test_w17_by_contraction(k):
    """A light cone of 47 qubits."""
    want = TABLE[k, COLUMN["W17"]]
    assert abs(measured_by(Contraction(), "W17", k).values[0] - want) < 1e-8


@pytest.mark.parametrize(("name", "k"), ENDS)
def test_tables_by_pauli_propagation(name, k):
    got = measured_by(Pauli(threshold=1e-4), name, k)
    error = abs(got.values[0] - TABLE[k, COLUMN[name]])
    assert error <= got.bounds[0] + 1e-9
    assert error < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [1e-3, 3e-4])
def test_stated_errors_of_pauli_propagation_cover_the_tables(threshold):
    """At least 95 % of all entries, at thresholds that leave large errors."""
    covered = []
    for name, k in ALL:
        got = measured_by(Pauli(threshold=threshold), name, k)
        covered.append(abs(got.values[0] - TABLE[k, COLUMN[name]]) <= got.bounds[0] + 1e-9)
    assert np.mean(covered) >= 0.95


SIGNS = [("W10", 1.0), ("W17", -1.0), ("W17X", -1.0)]


@pytest.mark.parametrize(("name", "want"), SIGNS)
@pytest.mark.parametrize("engine", [Pauli(), Contraction(), NETWORK], ids=lambda e: e.name)
def test_signs_at_half_pi(engine, name, want):
    """Clifford: a wrong sign or edge shows at once."""
    assert abs(measured_by(engine, name, 16).values[0] - want) < 1e-12


@pytest.mark.parametrize("engine", [Pauli(), Contraction(), NETWORK], ids=lambda e: e.name)
def test_nothing_happens_at_angle_zero(engine):
    paulis = ising.codes("Z0", "Z62", "Z126", "Z5 Z70")
    got = ask(engine, ising.structure(20), ising.values(0.0), paulis)
    assert np.allclose(got.values, 1, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "k"), [("W10", 6), ("W10", 12), ("W17", 13)])
def test_tables_by_the_network(name, k):
    got = measured_by(NETWORK, name, k)
    assert abs(got.values[0] - TABLE[k, COLUMN[name]]) < 3e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["W10", "W17"])
def test_whole_tables_by_the_network(name):
    """Within 3e-3 everywhere, and the stated error covers at least 95 % of the entries."""
    got = [measured_by(NETWORK, name, k) for k in range(17)]
    error = np.abs([g.values[0] for g in got] - TABLE[:, COLUMN[name]])
    assert error.max() < 3e-3
    assert np.mean(error <= [g.bounds[0] + 1e-6 for g in got]) >= 0.95


def z62(engine, steps, k):
    return ask(engine, ising.structure(steps), ising.values(angle(k)), ising.codes("Z62"))


@pytest.mark.parametrize("k", [2, 4, 6])
def test_nine_steps_by_the_network(k):
    got = z62(NETWORK, 9, k)
    assert abs(got.values[0] - TABLE[k, 4]) < 1e-3


@pytest.mark.slow
def test_stated_errors_of_the_network_cover_nine_steps():
    """At every angle, also where so small a bond is wrong by 0.03; a tenth of 1e-3 is free."""
    got = [z62(NETWORK, 9, k) for k in range(17)]
    error = np.abs([g.values[0] for g in got] - TABLE[:, 4])
    assert np.mean(error <= [g.bounds[0] + 1e-4 for g in got]) >= 0.95
    assert error[:8].max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("k", range(9))
def test_twenty_steps_by_the_network(k):
    """Within 0.01 of the first column, whose authors claim that error, up to k = 6.

    A bond of 32 is too small from k = 7 on, wrong by 0.03 and 0.1 (64: 0.01 and 0.05), and says so.
    """
    got = z62(Network(max_bond=32), 20, k)
    error = abs(got.values[0] - AFTER_20[k, 0])
    assert error < 0.01 + (k > 6) * got.bounds[0]
