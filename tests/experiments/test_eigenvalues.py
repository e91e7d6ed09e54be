"""Averaged circuit eigenvalues give back the Pauli noise that was planted.

Standard errors leave out correlations of strings in one circuit, which makes the sum of squared
deviations larger than chi-square by up to a third; bounds below contain that.
"""

import numpy as np
import pytest
from qiskit.quantum_info import Clifford, Pauli
from scipy.stats import chi2

from qdt_emu import experiments
from qdt_emu.calibrations import Calibration
from qdt_emu.errors import InputError
from qdt_emu.experiments import eigenvalues
from qdt_emu.experiments.eigenvalue_tracks import layout
from qdt_emu.twin import Twin


def planted(qubits: int, *, t2: float = np.inf) -> Twin:
    """Gates with depolarising of their own strength, and dephasing if `t2` is finite."""
    plain = Calibration.uniform("line", qubits=qubits, t1=1e-4, t2=8e-5, assignment=(0.01, 0.03))
    strength = {("cz", (a, a + 1)): 0.01 + 0.002 * (a % 5) for a in range(qubits - 1)}
    twin = Twin.load(plain).what_if(t1=np.inf, t2=t2)
    return twin.what_if(depolarizing={"sx": 5e-4, "x": 0.0} | strength)


def truth(table, twin: Twin) -> np.ndarray:
    """What each eigenvalue is."""
    p = twin.device.parameters
    row, times = twin.device.row, {i.name: i.duration for i in twin.device.instructions}
    out = []
    for gate, a, b, pauli in zip(
        *(table[c].values for c in ("gate", "q0", "q1", "pauli")), strict=True
    ):
        if gate == "readout":
            out.append(1 - p.assignment[a].sum())
            continue
        own = () if gate == "idle" else (a,) if b < 0 else (a, b)
        kept = 1 - p.depolarizing[row[gate, own]] if own else 1.0
        for q, letter in zip((a, b), pauli if gate != "sx" else "", strict=False):
            if letter in "XY":
                kept *= np.exp(-times["cz"] / p.t2[q])
        out.append(kept)
    return np.array(out)


def gate_fidelities(table, twin: Twin) -> np.ndarray:
    """How far the process fidelity of each two-qubit gate is off, in standard errors."""
    names = ("element_gate", "element_q0", "element_q1")
    off = []
    for k, (gate, a, b) in enumerate(zip(*(table[n].values for n in names), strict=True)):
        mine = (table["gate"] == gate) & (table["q0"] == a) & (table["q1"] == b)
        wanted = (1 + truth(table, twin)[mine.values].sum()) / 16
        one = table.isel(element=k)
        if gate == "cz" and np.isfinite(one["fidelity"]):
            off.append(float((one["fidelity"] - wanted) / one["fidelity_stderr"]))
    return np.array(off)


def agrees(z) -> None:
    """Two-sided false-alarm rate 1e-3, with room for correlations above."""
    assert chi2.ppf(5e-4, len(z)) < (z**2).sum() < 1.33 * chi2.isf(5e-4, len(z))


def test_planted_eigenvalues_come_back():
    # Two-sided false-alarm rate 1e-3, with room for correlations above.
    twin = planted(4)
    table = experiments.aces(twin, range(4), samples=20, shots=2000, seed=1, depths=(1, 3, 6))
    assert (table["identifiable"] == 1).all()
    z = (table["lambda_"] - truth(table, twin)) / table["lambda__stderr"]
    agrees(z.values.ravel())
    agrees(gate_fidelities(table, twin))
    assert chi2.ppf(5e-4, table.attrs["freedom"]) < table.attrs["chi2"]
    assert table.attrs["chi2"] < 1.33 * chi2.isf(5e-4, table.attrs["freedom"])
    wrong = (table["lambda_"] - 1) / table["lambda__stderr"]
    assert (wrong**2).sum() > 2 * chi2.isf(1e-6, wrong.size)  # the test can fail


@pytest.mark.slow
def test_twenty_qubits_with_dephasing():
    twin = planted(20, t2=4e-5)
    table = experiments.aces(twin, range(20), samples=12, shots=2000, seed=2)
    known = table["identifiable"].values == 1
    assert known.mean() > 0.95
    # `sx` has one eigenvalue in the model, and two on this device: leave that out.
    known &= table["gate"].values != "sx"
    z = ((table["lambda_"] - truth(table, twin)) / table["lambda__stderr"]).values[known]
    assert (z**2).sum() < 1.33 * chi2.isf(5e-4, len(z))
    agrees(gate_fidelities(table, twin))


def test_strings_are_followed_as_qiskit_does():
    twin = planted(4)
    asked = eigenvalues.circuits(twin.device, range(4), samples=2, depths=(3,), seed=3)
    for k in range(asked.cells.sizes["string"]):
        cell = asked.cells.isel(string=k, flip=0)
        circuit = asked.circuits[int(cell["circuit"])].remove_final_measurements(inplace=False)
        used = cell["bits"].values[cell["bits"].values >= 0]
        z = np.zeros(4, bool)
        z[used] = True
        back = Pauli((z, np.zeros(4, bool))).evolve(Clifford(circuit), frame="h")
        assert not back.x.any()  # Z-type before the circuit: its mean is +-1 without noise
        even = cell["expected"].values[cell["bits"].values >= 0].sum() % 2 == 0
        assert (back.phase == 0) == even


def test_too_few_circuits_leave_directions_open():
    twin = planted(3)
    table = experiments.aces(twin, range(3), samples=1, depths=(1,), shots=500, seed=4)
    open_ = table["identifiable"].values == 0
    assert open_.any()
    assert np.isnan(table["lambda_"].values[open_]).all()
    assert table.attrs["rank"] < table.sizes["parameter"]


def test_layers_hold_every_gate_once():
    plan = layout(planted(6).device, range(6))
    assert sorted(p for layer in plan.layers for p in layer) == [(a, a + 1) for a in range(5)]
    assert len(plan.parameters) == 5 * 15 + 2 * 3 + 6 + 6
    with pytest.raises(InputError, match="have no gate"):
        layout(planted(6).device, [0, 2])
