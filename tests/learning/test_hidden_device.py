"""A hidden device obeys the laws of its physics, repeats itself, and tells only what was measured.

Statistical tests compare frequencies with closed forms at five standard errors: a false alarm in
two million for each comparison; seeds are fixed.
"""

from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator, Statevector, average_gate_fidelity

from qdt_emu import Twin
from qdt_emu.device import build
from qdt_emu.errors import InputError, UnsupportedError
from qdt_emu.kernels import qutrit
from qdt_emu.kernels.randomness import shot_keys
from qdt_emu.learning.hidden_calibration import SPREAD, infidelities, prepared_and_misread
from qdt_emu.learning.hidden_channels import (
    QUBIT_PAIR,
    average_infidelity,
    cz,
    decay,
    error_generator,
    pulse,
)
from qdt_emu.learning.hidden_clock import at, detuning, drift
from qdt_emu.learning.hidden_device import HiddenDevice, random_circuits, read
from qdt_emu.learning.hidden_physics import FLUCTUATOR_RATES, Physics, chain, ring
from qdt_emu.learning.hidden_program import Prepared, prepare

SHOTS = 20_000
NS = 1e-9


def perfect(n: int = 2, **changes) -> HiddenDevice:
    return HiddenDevice(replace(Physics.perfect(n, chain(n)), **changes), seed=1)


def ones(hidden: HiddenDevice, circuit: QuantumCircuit, clbit: int = 0, **where) -> float:
    """Return how often a bit is read as 1."""
    counts = hidden.run(circuit, shots=SHOTS, **where).counts
    return sum(n for key, n in counts.items() if key[-1 - clbit] == "1") / SHOTS


def agrees(found: float, expected: float, more: float = 0.0) -> bool:
    stderr = np.sqrt(max(expected * (1 - expected), 1 / SHOTS) / SHOTS)
    return abs(found - expected) < 5 * stderr + more


def ramsey(n: int, wait: float, *, flip: int | None = None, echo: bool = False) -> QuantumCircuit:
    """Return a Ramsey experiment on qubit 0, read in Y (or in Z after an echo)."""
    circuit = QuantumCircuit(n, 1)
    if flip is not None:
        circuit.x(flip)
        circuit.barrier()  # else it would wait for its own way back
    circuit.sx(0)
    for part in range(2 if echo else 1):
        circuit.delay(wait / (2 if echo else 1), 0, unit="s")
        if echo and part == 0:
            circuit.x(0)
    if not echo:
        circuit.rz(np.pi / 2, 0)
    circuit.sx(0)
    if flip is not None:
        circuit.barrier()
        circuit.x(flip)
    circuit.measure(0, 0)
    return circuit


class TestKernel:
    def _random(self, rng, *shape):
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    @pytest.mark.parametrize("compiled", [True, False])
    def test_gates_are_the_matrices_they_stand_for(self, compiled):
        rng = np.random.default_rng(0)
        n, state = 3, self._random(rng, 27)
        m, pair = self._random(rng, 3, 3), np.zeros((9, 9), complex)
        for block in ([0], [1, 3], [2, 4, 6], [5, 7], [8]):
            pair[np.ix_(block, block)] = self._random(rng, len(block), len(block))
        one = qutrit.apply_one if compiled else qutrit.apply_one.py_func
        two = qutrit.apply_two if compiled else qutrit.apply_two.py_func
        diagonal = qutrit.scale_one if compiled else qutrit.scale_one.py_func
        tensor = state.reshape(3, 3, 3)  # axis k is qutrit n - 1 - k
        for q in range(n):
            axis = n - 1 - q
            expected = np.moveaxis(np.tensordot(m, tensor, (1, axis)), 0, axis).ravel()
            out = np.empty_like(state)
            norm = one(state, out, m, np.int64(3**q))
            assert np.allclose(out, expected, atol=1e-13)
            assert norm == pytest.approx((np.abs(expected) ** 2).sum())
            d = np.diag(np.diag(m))
            expected = np.moveaxis(np.tensordot(d, tensor, (1, axis)), 0, axis).ravel()
            assert diagonal(state, out, d, np.int64(3**q)) == pytest.approx(
                (np.abs(expected) ** 2).sum()
            )
            assert np.allclose(out, expected, atol=1e-13)
            rho = np.moveaxis(tensor, axis, 0).reshape(3, 9)
            reduced = qutrit.reduced_one(state, np.int64(3**q))
            assert np.allclose(reduced, rho @ rho.conj().T, atol=1e-12)
        for p, q in ((0, 1), (1, 0), (0, 2), (2, 1)):
            axes = (n - 1 - p, n - 1 - q)
            moved = np.moveaxis(tensor, axes, (0, 1)).reshape(9, 3)
            expected = np.moveaxis((pair @ moved).reshape(3, 3, 3), (0, 1), axes).ravel()
            out = np.empty_like(state)
            two(state, out, pair, np.int64(3**p), np.int64(3**q))
            assert np.allclose(out, expected, atol=1e-13)

    def test_telegraph_noise_has_its_occupation_and_its_memory(self):
        rate, p, count = 2.0, 0.3, 400
        keys = shot_keys(np.uint64(5), np.int64(0), np.int64(count))
        times = np.linspace(-500.0, 500.0, 2001)  # two thousand halves of a correlation time
        states = qutrit.telegraph(keys, times, np.full(count, rate), np.full(count, p), 0.05)
        x = states - p
        # Means over 400 independent fluctuators of 1000 s: sums of 4e5 / (2 / rate) looks.
        looks = count * 1000.0 * rate / 2
        assert abs(x.mean()) < 5 * np.sqrt(p * (1 - p) / looks)
        for lag in (1, 2, 4):
            found = (x[:, lag:] * x[:, :-lag]).mean()
            assert abs(found - p * (1 - p) * np.exp(-rate * lag * 0.5)) < 5 / np.sqrt(looks)

    def test_a_fluctuator_is_a_function_of_time(self):
        keys, rates = shot_keys(np.uint64(5), np.int64(0), np.int64(3)), np.array([1e-4, 1.0, 10.0])
        times, half = np.linspace(0, 1e4, 101), np.full(3, 0.5)
        forward = qutrit.telegraph(keys, times, rates, half, 0.05)
        backward = qutrit.telegraph(keys, times[::-1].copy(), rates, half, 0.05)
        assert np.array_equal(forward, backward[:, ::-1])


class TestChannels:
    def test_decay_keeps_the_trace_and_composes(self):
        times = np.array([1e-6, 2e-6, 3e-6])
        kraus = decay(times, 50e-6, 1.8, 80e-6, 0.02)
        total = np.einsum("tkij,tkil->tjl", kraus.conj(), kraus)
        assert np.allclose(total, np.eye(3), atol=1e-12)
        first, second, both = (np.einsum("kij,klm->iljm", k, k.conj()).reshape(9, 9) for k in kraus)
        assert np.allclose(second @ first, both, atol=1e-12)

    def test_decay_has_its_times(self):
        t, t1, ladder, t_phi, p = 7e-6, 50e-6, 1.8, 80e-6, 0.02
        kraus = decay(np.array([t]), t1, ladder, t_phi, p)[0]

        def after(rho):
            return np.einsum("kij,jl,kml->im", kraus, rho, kraus.conj())

        # To first order in p, |1> -> |2> apart.
        one = after(np.diag([0, 1, 0]))[1, 1].real
        assert one == pytest.approx(p + (1 - p) * np.exp(-t / t1), abs=2 * p * t / t1)
        two = after(np.diag([0, 0, 1]))[2, 2].real
        assert two == pytest.approx(np.exp(-ladder * (1 - p) * t / t1), abs=p * t / t1)
        cold = decay(np.array([t]), t1, ladder, t_phi, 0.0)[0]
        plus = np.full((3, 3), 0.5) * (np.arange(3) < 2) * (np.arange(3) < 2)[:, None]
        kept = np.einsum("kij,jl,kml->im", cold, plus, cold.conj())[0, 1].real
        assert kept == pytest.approx(0.5 * np.exp(-t * (0.5 / t1 + 1 / t_phi)), rel=1e-12)
        rest = decay(np.array([1.0]), t1, ladder, t_phi, p)[0]
        assert np.einsum("kij,jl,kml->im", rest, np.diag([1, 0, 0]), rest.conj())[
            1, 1
        ].real == pytest.approx(p, abs=p**2)

    def test_gates_are_unitary_and_ideal_without_errors(self):
        physics = Physics.typical(3, chain(3), np.random.default_rng(1))
        for k in range(2):
            u = cz(physics, k)
            assert np.allclose(u @ u.conj().T, np.eye(9), atol=1e-13)
        u = pulse(1.6, tilt=0.03, phase=0.02, leakage=1e-3)
        assert np.allclose(u @ u.conj().T, np.eye(3), atol=1e-13)
        clean = cz(Physics.perfect(2, chain(2)), 0)[np.ix_(QUBIT_PAIR, QUBIT_PAIR)]
        assert np.allclose(clean, np.diag([1, 1, 1, -1]), atol=1e-13)
        circuit = QuantumCircuit(1)
        circuit.sx(0)
        found = pulse(np.pi / 2)[:2, :2]
        assert average_gate_fidelity(Operator(found), Operator(circuit)) == pytest.approx(1)

    def test_infidelity_and_generator_agree_for_small_errors(self):
        angle, phase = 0.02, 0.01
        ideal, actual = pulse(np.pi)[:2, :2], pulse(np.pi + angle, phase=phase)[:2, :2]
        found = error_generator(actual, ideal)
        assert found[1] == pytest.approx(angle, rel=1e-3)
        assert found[3] == pytest.approx(phase, rel=1e-3)
        expected = 2 / 3 * (angle**2 + phase**2) / 4
        assert average_infidelity(ideal, actual[None]) == pytest.approx(expected, rel=1e-3)
        physics = replace(
            Physics.perfect(2, chain(2)),
            cz_angle=np.array([0.05]),
            cz_phase=np.array([[0.03, -0.04]]),
        )
        z = cz(physics, 0)[np.ix_(QUBIT_PAIR, QUBIT_PAIR)]
        found = error_generator(z, np.diag([1, 1, 1, -1]).astype(complex))
        assert found[[15, 12, 3]] == pytest.approx([0.05, 0.03, -0.04], rel=2e-3)

    def test_typical_gates_are_as_good_as_transmons(self):
        for seed in range(20):
            physics = HiddenDevice.random(6, seed=seed).physics
            pulses, pairs = infidelities(physics)
            assert 1e-4 < np.median(pulses) < 8e-4
            assert 2e-3 < np.median(pairs) < 1.6e-2


class TestClock:
    def test_drift_has_unit_variance_and_is_smooth(self):
        times = np.linspace(0, 60 * 86400, 3000)
        waves = np.array([drift(3, t, 200) for t in times])
        # Each wave: 8 random phases; over 60 days the mean square of each is 1 within a few %.
        assert np.mean(waves**2) == pytest.approx(1, abs=0.02)
        assert abs(waves.mean()) < 0.02
        step = drift(3, 60.0, 200) - drift(3, 0.0, 200)
        assert np.abs(step).max() < 0.1

    def test_time_changes_everything_slow_and_nothing_else(self):
        hidden = HiddenDevice.random(6, seed=4)
        day = np.array([at(hidden.physics, 4, h * 3600.0).t1 for h in range(0, 240, 6)])
        assert (day.std(axis=0) / day.mean(axis=0) > 0.03).all()
        assert (day.std(axis=0) / day.mean(axis=0) < 0.6).all()
        first, later = at(hidden.physics, 4, 0.0), at(hidden.physics, 4, 1e5)
        assert np.array_equal(first.zz, later.zz)
        assert not np.allclose(first.cz_phase, later.cz_phase, rtol=1e-3)
        again = at(hidden.physics, 4, 0.0)
        assert np.array_equal(first.t1, again.t1)
        assert np.array_equal(first.assignment, again.assignment)

    def test_detuning_is_one_over_f(self):
        hidden = HiddenDevice.random(6, seed=4)
        devices = [detuning(hidden.physics, s, np.arange(0.0, 2e4, 10.0)) for s in range(40)]
        spread = np.array([d / hidden.physics.detuning for d in devices])
        assert np.mean(spread**2) == pytest.approx(1, abs=0.1)
        # Equal power per decade: the differences at lags 10 s and 1000 s, from the closed form.
        for lag in (1, 100):
            found = np.mean((spread[:, lag:] - spread[:, :-lag]) ** 2) / 2
            expected = np.mean(1 - np.exp(-FLUCTUATOR_RATES * lag * 10.0))
            assert found == pytest.approx(expected, rel=0.1)

    def test_defects_make_t1_bimodal(self):
        physics = replace(
            Physics.perfect(200, ()),
            t1=np.full(200, 100e-6),
            defect_rate=np.full(200, 1e4),
            defect_occupied=np.full(200, 0.25),
        )
        t1 = at(physics, 5, 1e6).t1
        assert set(np.round(t1 * 1e6)) == {50.0, 100.0}
        assert abs((t1 < 60e-6).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 200)


class TestLaws:
    def test_without_imperfections_it_is_the_ideal_circuit(self):
        hidden = perfect(4)
        for circuit in random_circuits(hidden, 3, seed=1, qubits=(3, 4), depth=(3, 6)):
            counts = hidden.run(circuit, shots=SHOTS, seed=2)
            bare = circuit.remove_final_measurements(inplace=False)
            used = [circuit.find_bit(i.qubits[0]).index for i in circuit.data
                    if i.operation.name == "measure"]  # fmt: skip
            ideal = Statevector(bare).probabilities_dict(used)
            for key in {*counts.counts, *ideal}:
                assert agrees(counts.counts.get(key, 0) / SHOTS, ideal.get(key, 0.0))

    def test_population_decays_with_t1_and_reads_through_the_assignment(self):
        t1, wait = 60e-6, 40e-6
        hidden = perfect(2, t1=np.full(2, t1), assignment=np.array([[0.02, 0.05], [0.0, 0.0]]))
        circuit = QuantumCircuit(2, 1)
        circuit.x(0)
        circuit.delay(wait, 0, unit="s")
        circuit.measure(0, 0)
        left = np.exp(-(wait + 16 * NS) / t1)
        assert agrees(ones(hidden, circuit), left * 0.95 + (1 - left) * 0.02)

    def test_coherence_decays_with_t2(self):
        t1, t_phi, wait = 100e-6, 80e-6, 30e-6
        hidden = perfect(1, t1=np.array([t1]), t_phi=np.array([t_phi]))
        circuit = ramsey(1, wait, echo=True)
        kept = np.exp(-(wait + 64 * NS) * (0.5 / t1 + 1 / t_phi))
        # sx, x, sx turn by 2 pi in all: full coherence reads 0.
        assert agrees(ones(hidden, circuit), (1 - kept) / 2)

    def test_detuning_that_stays_is_refocused_by_an_echo(self):
        off = np.array([8e3])
        hidden = perfect(1, detuning=off)
        assert ones(hidden, ramsey(1, 20e-6, echo=True)) < 5e-3
        seen = {round(ones(hidden, ramsey(1, 20e-6), time=t), 2) for t in (0.0, 1e5, 2e5, 3e5)}
        assert len(seen) > 1  # without an echo, the frequency of the day shows

    def test_zz_shifts_the_frequency_beside_an_excited_neighbour(self):
        zz, wait = 40e3, 5e-6
        hidden = perfect(2, zz=np.array([zz]))
        alone, beside = ones(hidden, ramsey(2, wait)), ones(hidden, ramsey(2, wait, flip=1))
        assert agrees(alone, 0.5)
        assert agrees(beside, 0.5 * (1 + np.sin(2 * np.pi * zz * (wait + 32 * NS))))

    def test_zz_beside_a_gate_is_another_one(self):
        wait, zz = 500 * NS, 200e3
        physics = {"zz": np.array([zz, 0.0]), "cz_duration": np.full(2, wait)}
        for factor in (0.0, 1.0, 2.0):
            hidden = perfect(3, zz_beside=np.array([factor, 1.0]), **physics)
            circuit = QuantumCircuit(3, 1)
            circuit.x(1)
            circuit.barrier()
            circuit.sx(0)
            circuit.barrier()
            circuit.cz(1, 2)
            circuit.barrier()
            circuit.rz(np.pi / 2, 0)
            circuit.sx(0)
            circuit.measure(0, 0)
            turns = zz * (factor * wait + 2 * 16 * NS)
            assert agrees(ones(hidden, circuit), 0.5 * (1 + np.sin(2 * np.pi * turns)))

    def test_over_rotation_adds_up_in_amplitude(self):
        delta, pulses = 0.02, 20
        hidden = perfect(1, angle=np.array([[0.0, delta]]))
        circuit = QuantumCircuit(1, 1)
        for _ in range(pulses):
            circuit.x(0)
            circuit.barrier()
        circuit.measure(0, 0)
        assert agrees(ones(hidden, circuit), np.sin(pulses * delta / 2) ** 2)

    def test_phases_of_the_gate_show_in_a_ramsey_of_gates(self):
        phase = 0.05
        hidden = perfect(2, cz_phase=np.array([[phase, 0.0]]))
        circuit = QuantumCircuit(2, 1)
        circuit.sx(0)
        for _ in range(8):
            circuit.cz(0, 1)
            circuit.barrier()
        circuit.rz(np.pi / 2, 0)
        circuit.sx(0)
        circuit.measure(0, 0)
        assert agrees(ones(hidden, circuit), 0.5 * (1 - np.sin(8 * phase)))

    def test_what_leaks_decays_faster(self):
        leak, ladder, t1 = 0.02, 2.0, 4e-6
        # |1> reads as 0, so that only |2> reads as 1.
        hidden = perfect(1, pulse_leakage=np.array([leak]), assignment=np.array([[0.0, 1.0]]))
        circuit = QuantumCircuit(1, 1)
        circuit.x(0)
        circuit.measure(0, 0)
        assert agrees(ones(hidden, circuit), leak)
        faster = replace(hidden.physics, t1=np.array([t1]), ladder=np.array([ladder]))
        late = QuantumCircuit(1, 1)
        late.x(0)
        late.delay(1e-6, 0, unit="s")
        late.measure(0, 0)
        left = leak * np.exp(-ladder * (1e-6 + 16 * NS) / t1)
        assert agrees(ones(HiddenDevice(faster, 1), late), left)

    @pytest.mark.parametrize("phase", [0.0, np.pi])
    def test_leakage_of_repeated_gates_adds_up_in_amplitude(self, phase):
        leak, gates = 1e-3, 7
        hidden = perfect(
            2,
            cz_leakage=np.array([leak]),
            cz_phase=np.array([[phase, 0.0]]),
            assignment=np.array([[0.0, 1.0], [0.0, 1.0]]),  # only |2> reads as 1
        )
        circuit = QuantumCircuit(2, 1)
        circuit.x(0)
        circuit.x(1)
        for _ in range(gates):
            circuit.cz(0, 1)
            circuit.barrier()
        circuit.measure(0, 0)
        # -1 on |11> makes every second passage undo the one before; a phase of pi makes it go on.
        passages = gates if phase else 1
        # A phase of pi is no gate to a calibration: compiled for a device without it.
        compiled = Twin.load(perfect(2).calibration()).compile(circuit)
        assert agrees(ones(hidden, compiled), np.sin(passages * np.arcsin(np.sqrt(leak))) ** 2)

    def test_random_paulis_depolarize(self):
        p, pulses = 0.02, 10
        hidden = perfect(2, pulse_pauli=np.full(2, p), cz_pauli=np.full(1, 0.03))
        circuit = QuantumCircuit(2, 1)
        for _ in range(pulses):
            circuit.x(0)
            circuit.barrier()
        circuit.measure(0, 0)
        assert agrees(ones(hidden, circuit), 0.5 * (1 - (1 - 4 * p / 3) ** pulses))
        gates = QuantumCircuit(2, 1)
        for _ in range(pulses):
            gates.cz(0, 1)
            gates.barrier()
        gates.measure(0, 0)
        # 8 of the 15 operators flip the qubit.
        assert agrees(ones(hidden, gates), 0.5 * (1 - (1 - 16 * 0.03 / 15) ** pulses))

    def test_a_crowded_gate_is_worse(self):
        hidden = perfect(4, cz_pauli=np.array([0.05, 0.0, 0.0]), crowding=2.0)
        circuit = QuantumCircuit(4, 2)
        circuit.cz(0, 1)
        circuit.cz(2, 3)
        circuit.measure([0, 2], [0, 1])
        assert agrees(ones(hidden, circuit), 0.1 * 8 / 15)
        circuit = QuantumCircuit(4, 1)
        circuit.cz(0, 1)
        circuit.barrier()
        circuit.cz(2, 3)
        circuit.measure(0, 0)
        assert agrees(ones(hidden, circuit), 0.05 * 8 / 15)

    def test_a_warm_qubit_starts_excited_and_stays_so(self):
        hidden = perfect(1, excited=np.array([0.05]), t1=np.array([20e-6]))
        circuit = QuantumCircuit(1, 1)
        circuit.rz(0.1, 0)
        circuit.delay(100e-6, 0, unit="s")
        circuit.measure(0, 0)
        assert agrees(ones(hidden, circuit), 0.05, more=0.05**2)

    def test_quiet_trajectories_lose_norm_as_their_kraus_operators_do(self):
        hidden = HiddenDevice.random(4, seed=2)
        circuit = random_circuits(hidden, 1, seed=3, qubits=(4, 4))[0]
        program = prepare(hidden._compile(circuit, None), hidden.physics).program  # noqa: SLF001
        shots, off = 4000, np.zeros((1, 4))
        state, other = np.zeros(81, complex), np.zeros(81, complex)
        state[0], norm = 1, 1.0
        for step in range(len(program.kind)):
            norm = qutrit.quiet_step(program, np.int64(step), off[0], state, other, norm)
            state, other = other, state
        assert norm == pytest.approx((np.abs(state) ** 2).sum(), rel=1e-9)
        assert 0.5 < norm < 1
        keys = shot_keys(np.uint64(1), np.int64(0), np.int64(shots))
        first = np.array([1 - qutrit.uniform(k, np.int64(0), np.int64(0)) for k in keys])
        assert abs((first <= norm).mean() - norm) < 5 * np.sqrt(norm * (1 - norm) / shots)


class TestReadout:
    def _read(self, levels, **changes):
        physics = replace(Physics.perfect(2, chain(2)), **changes)
        prepared = Prepared(None, (0, 1), ((0, 0), (1, 1)), 2)
        return read(levels, prepared, physics, np.random.default_rng(0))

    def test_misreadings_come_together_and_keep_their_rates(self):
        spread, p = 0.8, 0.03
        shots = 200_000
        levels = np.zeros((shots, 2), np.uint8)
        bits = self._read(levels, assignment=np.full((2, 2), p), readout_common=spread)
        stderr = np.sqrt(p / shots)
        assert np.abs(bits.mean(axis=0) - p).max() < 5 * stderr * 1.3
        both = (bits[:, 0] & bits[:, 1]).mean()
        expected = p**2 * np.exp(spread**2)
        assert abs(both - expected) < 5 * np.sqrt(expected / shots) * 1.5
        assert both > 1.5 * p**2

    def test_a_neighbour_changes_the_rate(self):
        share, p, shots = 0.5, 0.05, 100_000
        for other, factor in ((0, 1 - share), (1, 1 + share), (2, 1 + share)):
            levels = np.zeros((shots, 2), np.uint8)
            levels[:, 1] = other
            bits = self._read(
                levels, assignment=np.full((2, 2), p), readout_crosstalk=np.array([share])
            )
            assert abs(bits[:, 0].mean() - p * factor) < 5 * np.sqrt(p * factor / shots)

    def test_a_leaked_qubit_has_its_own_rate(self):
        levels = np.full((100_000, 2), 2, np.uint8)
        bits = self._read(levels, leaked_as_one=np.array([0.9, 1.0]))
        assert abs(bits[:, 0].mean() - 0.9) < 5 * np.sqrt(0.09 / 100_000)
        assert bits[:, 1].all()


class TestDevice:
    def test_same_seeds_same_counts(self):
        first, again = HiddenDevice.random(5, seed=7), HiddenDevice.random(5, seed=7)
        other = HiddenDevice.random(5, seed=8)
        circuit = random_circuits(first, 1, seed=1)[0]
        counts = first.run(circuit, shots=500, time=100.0, seed=3).counts
        assert counts == again.run(circuit, shots=500, time=100.0, seed=3).counts
        assert counts != first.run(circuit, shots=500, time=100.0, seed=4).counts
        assert counts != other.run(circuit, shots=500, time=100.0, seed=3).counts
        assert first.calibration(5.0) == again.calibration(5.0)

    def test_calibration_is_measured_and_not_the_truth(self):
        pulls = []
        for seed in range(30):
            hidden = HiddenDevice.random(6, seed=seed)
            calibration = hidden.calibration()
            published = calibration.values("qubits/t1")
            true = at(hidden.physics, seed, -3 * 3600.0).t1
            assert not np.isclose(published, true, rtol=1e-6).any()
            pulls.append(np.log(published / true) / SPREAD["t1"])
            stderr = calibration.stderr("qubits/t1")
            assert np.allclose(stderr, SPREAD["t1"] * published)
        # 180 standard normal numbers.
        assert abs(np.mean(pulls)) < 5 / np.sqrt(180)
        assert abs(np.std(pulls) - 1) < 5 / np.sqrt(360)

    def test_published_readout_errors_are_those_of_the_experiment(self):
        hidden = HiddenDevice.random(4, seed=11)
        now = at(hidden.physics, 11, 0.0)
        # T1, pulses and ZZ off: what is left is preparation and readout.
        quiet = replace(
            Physics.perfect(4, chain(4)),
            assignment=now.assignment,
            excited=now.excited,
            readout_crosstalk=now.readout_crosstalk,
        )
        still = HiddenDevice(quiet, 11)
        expected = prepared_and_misread(quiet)
        wrong, shots = np.zeros((4, 2)), 5000
        for string in range(16):
            circuit = QuantumCircuit(4, 4)
            for q in range(4):
                circuit.x(q) if string >> q & 1 else circuit.rz(0.1, q)
            circuit.measure(range(4), range(4))
            counts = still.run(circuit, shots=shots, seed=string).counts
            for q in range(4):
                value = string >> q & 1
                seen = sum(n for k, n in counts.items() if int(k[-1 - q]) != value)
                wrong[q, value] += seen / shots / 8
        stderr = np.sqrt(expected / (8 * shots))
        # One factor per shot, common to all qubits, adds spread^2 to the variance of few shots.
        assert (np.abs(wrong - expected) < 5 * stderr * 1.1).all()

    def test_truth_fits_the_twin_of_its_calibration(self):
        hidden = HiddenDevice.random(5, seed=3, couplers=ring(5))
        device = build(hidden.calibration())
        truth = hidden.truth()
        assert truth.depolarizing.shape == device.parameters.depolarizing.shape
        assert truth.zz.shape == (5,)
        assert np.allclose(truth.t1, device.parameters.t1, rtol=0.9)
        turned = device.row["cz", (1, 0)], device.row["cz", (0, 1)]
        assert np.allclose(truth.phase[turned[0]], truth.phase[turned[1]][::-1])

    def test_any_circuit_is_transpiled_and_a_compiled_one_runs(self):
        hidden = perfect(3)
        ghz = QuantumCircuit(3)
        ghz.h(0)
        ghz.cx(0, 1)
        ghz.cx(1, 2)
        ghz.measure_all()
        assert set(hidden.run(ghz, shots=200).counts) == {"000", "111"}
        compiled = Twin.load(hidden.calibration()).compile(ghz)
        assert set(hidden.run(compiled, shots=200).counts) == {"000", "111"}

    def test_jobs_run_one_after_the_other(self):
        hidden = HiddenDevice.random(4, seed=2)
        circuits = random_circuits(hidden, 2, seed=1)
        first, second = hidden.run_all(circuits, shots=300, time=10.0, seed=4)
        assert first.counts == hidden.run(circuits[0], shots=300, time=10.0, seed=4).counts
        alone = hidden.run(circuits[1], shots=300, time=10.15, seed=4 + 7919)
        assert second.counts == alone.counts

    def test_what_it_cannot_do_is_refused(self):
        hidden = perfect(2)
        late = QuantumCircuit(2, 2)
        late.measure(0, 0)
        late.x(0)
        late.measure(0, 1)
        with pytest.raises(UnsupportedError, match="after its measurement"):
            hidden.run(late)
        reset = QuantumCircuit(2, 1)
        reset.x(0)
        reset.reset(0)
        reset.measure(0, 0)
        with pytest.raises(UnsupportedError, match="reset"):
            hidden.run(reset)
        with pytest.raises(InputError, match="must measure"):
            hidden.run(QuantumCircuit(2))
        with pytest.raises(InputError, match="shots"):
            hidden.run(reset, shots=0)
        with pytest.raises(InputError, match="coupler"):
            HiddenDevice.random(3, seed=1, couplers=[(0, 3)])
        apart = HiddenDevice.random(4, seed=1, couplers=[(0, 1), (2, 3)])
        with pytest.raises(InputError, match="connected"):
            random_circuits(apart, 1, seed=0, qubits=(3, 3))

    def test_random_circuits_are_native_and_of_the_size_asked_for(self):
        hidden = HiddenDevice.random(8, seed=2)
        circuits = random_circuits(hidden, 20, seed=5)
        assert {c.num_clbits for c in circuits} == {4, 5, 6, 7, 8}
        assert {n for c in circuits for n in c.count_ops()} <= {"rz", "sx", "cz", "measure"}
        assert Twin.load(hidden.calibration()).compile(circuits[0]).as_given
