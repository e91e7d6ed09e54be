"""Circuits as Amazon Braket writes them, and the fourteen that ran on IQM Garnet."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import RGate
from qiskit.quantum_info import Operator

from qdt_emu.calibrations import Calibration
from qdt_emu.circuit.braket import LABELLED, PHYSICAL, by_label
from qdt_emu.circuit.compile import Options
from qdt_emu.circuit.noiseless import noiseless
from qdt_emu.circuit.read import read_circuit
from qdt_emu.device import Policy, build, ideal
from qdt_emu.engines.density import Density, probabilities
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.twin import Twin
from qdt_emu.validation import public_data
from tests.circuit.exact import distribution

HEAD = "OPENQASM 3.0;\nbit[2] b;\n#pragma braket verbatim\nbox{\n"
TAIL = "}\nb[0] = measure $0;\nb[1] = measure $1;\n"
PI = "3.141592653589793"


def verbatim(body, tail=TAIL):
    return HEAD + body + tail


def certain(text):
    """The only record an ideal device can give."""
    circuit = read_circuit(text)
    p = distribution(circuit, ideal(circuit.num_qubits))
    assert p.max() == pytest.approx(1, abs=1e-12)
    return int(p.argmax())


def test_gates_keep_their_meaning_order_and_angles():
    text = verbatim("prx(0.3, -pi/3) $1;\ncz $1, $0;\nprx(2*pi, 1e-3) $0;\ncnot $0, $1;\n", "}")
    expected = QuantumCircuit(2)
    expected.append(RGate(0.3, -np.pi / 3), [1])
    expected.cz(1, 0)
    expected.append(RGate(2 * np.pi, 1e-3), [0])
    expected.cx(0, 1)
    circuit = read_circuit(text)
    assert circuit.metadata == {PHYSICAL: True, LABELLED: True}
    assert Operator(circuit).equiv(Operator(expected))


def test_prx_turns_about_an_axis_on_the_equator():
    theta, phi = 0.7, 1.9
    u = Operator(read_circuit(verbatim(f"prx({theta}, {phi}) $0;\n", "}"))).data
    x, y = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]])
    axis = np.cos(phi) * x + np.sin(phi) * y
    expected = np.cos(theta / 2) * np.eye(2) - 1j * np.sin(theta / 2) * axis
    np.testing.assert_allclose(u, expected, atol=1e-12)


@pytest.mark.parametrize("outcome", [0, 1])
def test_a_conditional_gate_acts_on_outcome_one_only(outcome):
    first = f"prx({PI}, 0) $0;\n" * outcome
    body = first + f"measure_ff(7) $0;\ncc_prx({PI}, 0, 7) $1;\n"
    assert certain(verbatim(body)) == (0b11 if outcome else 0b00)


def test_a_key_keeps_its_outcome_while_its_qubit_goes_on():
    body = f"prx({PI}, 0) $0;\nmeasure_ff(3) $0;\nprx({PI}, 0) $0;\ncc_prx({PI}, 0, 3) $1;\n"
    assert certain(verbatim(body)) == 0b10


def test_a_key_measured_again_means_the_later_outcome():
    body = f"measure_ff(3) $0;\nprx({PI}, 0) $0;\nmeasure_ff(3) $0;\ncc_prx({PI}, 0, 3) $1;\n"
    assert certain(verbatim(body)) == 0b11


def test_outcomes_wait_in_result_bits_that_are_written_later():
    body = "".join(
        f"measure_ff({k}) ${k % 2};\ncc_prx({PI}, 0, {k}) ${(k + 1) % 2};\n" for k in range(6)
    )
    circuit = read_circuit(verbatim(body))
    assert circuit.num_clbits == 2
    assert [r.name for r in circuit.cregs] == ["b"]


def test_outcomes_without_a_free_bit_get_a_register_of_their_own():
    body = f"prx({PI}, 0) $1;\nmeasure_ff(1) $0;\nmeasure_ff(2) $1;\nmeasure_ff(3) $2;\n"
    body += "".join(f"cc_prx({PI}, 0, {k}) $0;\n" for k in (1, 2, 3))
    text = "OPENQASM 3.0;\nbit[1] b;\n#pragma braket verbatim\nbox{\n" + body
    circuit = read_circuit(text + "}\nb[0] = measure $0;\n")
    assert [(r.name, r.size) for r in circuit.cregs] == [("b", 1), ("feedforward", 2)]
    p = distribution(circuit, ideal(3))
    assert p.max() == pytest.approx(1)
    assert int(p.argmax()) & 1 == 1  # only key 2 was 1
    late = f"b[0] = measure $0;\nmeasure_ff(1) $1;\ncc_prx({PI}, 0, 1) $2;\n"
    assert read_circuit(HEAD + late + "}").num_clbits == 3  # b[0] holds a result by then


def test_measurements_in_a_row_begin_together():
    device = toy_device()
    body = f"prx({PI}, 0) $1;\n" + f"prx({PI}, 0) $2;\n" * 5
    text = verbatim(body, "}\nb[0] = measure $1;\nb[1] = measure $2;\n")
    steps = Twin.load(device).compile(text, options=Options(schedule="asap")).steps
    starts = [s.start for s in steps if s.name == "measure"]
    assert starts == pytest.approx([5 * 40e-9] * 2)


def toy_device(policy=None):
    calibration = Calibration.uniform("toy", qubits=3, t1=50e-6, t2=20e-6)
    tree = calibration.tree.copy()
    tree["gates_1q"] = tree["gates_1q"].to_dataset().assign_coords(gate_1q=["rz", "r", "x"])
    tree.coords["vendor_qubit"] = ("qubit", np.arange(1, 4))
    return build(Calibration(tree), policy)


def test_labels_are_the_vendors_and_are_refused_where_there_is_none():
    device = toy_device()
    assert device.labels == (1, 2, 3)
    circuit = read_circuit(verbatim("cz $3, $2;\n", "}\nb[0] = measure $3;\n"))
    placed = by_label(circuit, device)
    places = [[placed.find_bit(q).index for q in i.qubits] for i in placed.data]
    assert places == [[2, 1], [2]]
    assert placed.num_qubits == 3
    assert by_label(circuit, ideal(4)) is circuit
    plain = QuantumCircuit(2)
    assert by_label(plain, device) is plain
    with pytest.raises(InputError, match=r"no qubit \$0; its qubits are \$1 to \$3"):
        by_label(read_circuit(verbatim("cz $0, $2;\n", "}")), device)


def test_a_selected_part_of_the_chip_still_knows_its_labels():
    device = toy_device()
    calibration = Calibration.uniform("toy", qubits=3, t1=50e-6, t2=20e-6)
    assert device.labels == (1, 2, 3)
    assert build(calibration.select([2, 1])).labels == (2, 1)


def test_declared_qubits_are_laid_out_by_the_transpiler():
    text = "OPENQASM 3.0;\nqubit[2] q;\nbit[2] b;\nprx(pi, 0) q[0];\ncnot q[0], q[1];\n"
    text += "b[0] = measure q[0];\nb[1] = measure q[1];\n"
    circuit = read_circuit(text)
    assert not (circuit.metadata or {}).get(PHYSICAL)
    assert certain(text) == 0b11


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (verbatim("cc_prx(pi, 0, 1) $0;\n"), InputError, r"must follow `measure_ff\(1\)`"),
        (verbatim("cc_prx(pi, 0) $0;\n"), InputError, r"`cc_prx` must have 3 argument"),
        (verbatim("measure_ff(0.5) $0;\n"), InputError, r"a whole number"),
        (verbatim("prx(pi) $0;\n"), InputError, r"`prx` must have 2 angle\(s\).*line 5"),
        (verbatim("prx(theta, 0) $0;\n"), InputError, r"but is 'theta' \(line 5"),
        (verbatim("prx(2**9999999., 0) $0;\n"), InputError, r"An angle must be"),
        (verbatim("wobble $0;\n"), InputError, r"The gate `wobble` \(line 5"),
        (verbatim("cz $0, $0;\n"), InputError, r"must act on different qubits"),
        (verbatim("cz $0, one;\n"), InputError, r"like `\$3` or `q\[3\]`"),
        (verbatim("", "}\nc[0] = measure $0;\n"), InputError, r"`c\[0\]` must be declared"),
        (verbatim("", "}\nb[2] = measure $0;\n"), InputError, r"`b\[2\]` must be declared"),
        (verbatim("cz $0, $1\n"), InputError, r"must end in ';'"),
        (verbatim("if (b[0]) x $0;\n"), UnsupportedError, r"'if "),
        (HEAD + "}\n#pragma braket noise bit_flip(0.1) $0\n", UnsupportedError, r"bit_flip"),
        ("OPENQASM 3.0;\nqubit q;\nprx(pi, 0) q[0];\nx $0;\n", InputError, r"uses both"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, error, message):
    with pytest.raises(error, match=message):
        read_circuit(text)


def test_comments_and_blank_lines_do_not_move_line_numbers():
    with pytest.raises(InputError, match="line 9"):
        read_circuit(HEAD + "/* two\nlines */ // more\n\n\nwobble $0;\n" + TAIL)


# --- The processor -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def garnet():
    if public_data.data_folder() is None:
        pytest.skip("no measured data beside the checkout; set QDT_DATA")
    (session,) = public_data.sessions("iqm_garnet_dynamic_2025")
    return session


def exact(noisy):
    return probabilities(Density().prepare(noisy.structure), noisy.values)


def measured(run, size):
    out = np.zeros(size)
    for key, number in run.counts.items():
        out[int(key, 2)] = number
    return out / out.sum()


def test_ordinary_circuits_go_onto_garnet_in_its_native_gates(garnet):
    twin = Twin.load(garnet.calibration)
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.rz(0.3, 1)
    circuit.cx(1, 2)
    circuit.measure(range(3), range(3))
    compiled = twin.compile(circuit)
    assert set(compiled.physical.count_ops()) - {"measure", "barrier"} == {"r", "cz"}
    p = exact(noiseless(compiled.bind()))
    np.testing.assert_allclose(p[[0, 7]], 0.5, atol=1e-9)


def test_assumptions_about_garnet_are_notes_of_the_device(garnet):
    device = build(garnet.calibration)
    assert device.schedule == "asap"
    assert device.feedforward_latency == pytest.approx(0.38e-6)
    notes = {n.where for n in device.notes if n.case == "A"}
    assert notes == {
        "one-qubit gate duration, 20 of 20",
        "two-qubit gate duration, 30 of 30",
        "readout duration, 20 of 20",
        "feed-forward latency",
    }
    star, echo = (garnet.calibration.values(f"qubits/t2_{k}") for k in ("star", "echo"))
    spread = 2 * np.pi * device.parameters.detuning
    ramsey = np.exp(-star / echo - (spread * star) ** 2 / 2)
    np.testing.assert_allclose(ramsey, np.exp(-1), rtol=1e-9)
    assert build(garnet.calibration, Policy(slow_dephasing=False)).parameters.detuning is None
    assert build(garnet.calibration, Policy(feedforward_latency=0.0)).feedforward_latency == 0


def test_the_bits_of_all_tasks_are_in_the_order_that_their_structure_says(garnet):
    twin = Twin.load(garnet.calibration, policy=Policy(slow_dephasing=False))
    asymmetric = []
    for run in garnet.runs:
        compiled = twin.compile(run.circuit)
        p = exact(noiseless(compiled.bind()))
        n = compiled.structure.n_clbits
        q = measured(run, 2**n)
        turned = q.reshape((2,) * n).transpose(range(n)[::-1]).ravel()
        distance, other = (abs(p - x).sum() / 2 for x in (q, turned))
        assert distance <= 0.26, run.name  # the ideal outcomes hold three quarters of the shots
        if abs(p - p.reshape((2,) * n).transpose(range(n)[::-1]).ravel()).sum() > 0.2:
            asymmetric.append(run.name)
            assert distance < other, run.name
    assert len(asymmetric) >= 6
