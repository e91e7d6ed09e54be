import warnings

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2, StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from qdt_emu import Options, Twin
from qdt_emu.adapters.qiskit import TwinBackend, TwinEstimator, TwinSampler
from qdt_emu.errors import InputError, UnsupportedError

# Statistical tests: 6 sigma on a handful of values each, false alarms below 1e-7, seeds fixed.
SIGMA = 6


@pytest.fixture(scope="module")
def twin():
    return Twin.load("ibmq_lima")


@pytest.fixture(scope="module")
def backend(twin):
    return TwinBackend(twin)


def bell(*, measured=True):
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    if measured:
        circuit.measure_all()
    return circuit


def turned():
    """Two angles, all of whose Paulis matter."""
    a, b = ParameterVector("t", 2)
    circuit = QuantumCircuit(2)
    circuit.rx(a, 0)
    circuit.cx(0, 1)
    circuit.ry(b, 1)
    return circuit


def test_a_run_is_the_twins_own_run(twin, backend):
    job = backend.run(bell(), shots=500, seed_simulator=3)
    assert job.done()
    assert job.result().success
    assert job.result().get_counts() == twin.run(bell(), shots=500, seed=3).counts


def test_memory_lists_every_shot_and_only_when_asked(backend):
    result = backend.run(bell(), shots=200, seed_simulator=3, memory=True).result()
    memory = result.get_memory()
    assert len(memory) == 200
    assert {k: memory.count(k) for k in set(memory)} == result.get_counts()
    assert "memory" not in backend.run(bell(), shots=5).result().data()


def test_registers_keep_their_names_and_their_spaces(backend):
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(QuantumRegister(3), low, high)
    circuit.x(2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    counts = backend.run(circuit, shots=300, seed_simulator=1).result().get_counts()
    assert max(counts, key=counts.get) == "10 0"


def test_a_batch_has_independent_seeds_and_keeps_the_order(backend):
    flip = QuantumCircuit(1, 1)
    flip.x(0)
    flip.measure(0, 0)
    result = backend.run([bell(), bell(), flip], shots=400, seed_simulator=5).result()
    first, second, third = result.get_counts()
    assert first != second
    assert set(third) <= {"0", "1"}
    again = backend.run([bell(), bell(), flip], shots=400, seed_simulator=5).result()
    assert again.get_counts() == [first, second, third]


def test_options_of_the_backend_are_the_defaults(twin):
    backend = TwinBackend(twin)
    backend.set_options(shots=77)
    assert sum(backend.run(bell()).result().get_counts().values()) == 77


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"optimization": 1}, InputError, "optimization.*do not exist"),
        ({"noise_model": None}, InputError, "what_if"),
        ({"meas_level": 1}, UnsupportedError, "meas_level"),
        ({"shots": 0}, InputError, "shots"),
    ],
)
def test_what_does_not_exist_is_refused(backend, options, error, words):
    with pytest.raises(error, match=words):
        backend.run(bell(), **options)


def test_transpile_schedules_for_the_target(backend):
    circuit = transpile(bell(), backend, scheduling_method="alap", seed_transpiler=1)
    assert circuit.num_qubits == 5
    assert circuit.count_ops()["delay"] > 0
    counts = backend.run(circuit, shots=1000, seed_simulator=2).result().get_counts()
    assert counts["00"] + counts["11"] > 800


def test_bits_beyond_the_registers_are_not_split(backend):
    circuit = QuantumCircuit([*QuantumRegister(1)], [*ClassicalRegister(1)])
    circuit.add_register(ClassicalRegister(1, "c"))
    circuit.x(0)
    circuit.measure(0, 1)
    counts = backend.run(circuit, shots=100, seed_simulator=1).result().get_counts()
    assert max(counts, key=counts.get) == "10"


def test_the_layout_of_the_compilation_is_kept(twin):
    backend = TwinBackend(twin, compilation=Options(layout=(3, 4)))
    here = backend.run(bell(), shots=2000, seed_simulator=1).result().get_counts()
    assert here == twin.run(bell(), shots=2000, seed=1, options=Options(layout=(3, 4))).counts


def test_qiskits_own_primitives_run_unchanged(twin, backend):
    values = np.array([[0.3, 0.2], [1.2, -0.7]])
    bare = transpile(turned(), backend, seed_transpiler=1)
    measured = bare.copy()
    measured.measure_all()
    sampler = BackendSamplerV2(backend=backend, options={"seed_simulator": 4})
    bits = sampler.run([(measured, values)], shots=2000).result()[0].data.meas
    own = TwinSampler(twin, seed=4).run([(measured, values)], shots=2000).result()[0].data.meas
    assert bits.shape == own.shape == (2,)
    for k in range(2):
        ours, theirs = (x[k].get_int_counts() for x in (own, bits))
        for word in {*ours, *theirs}:
            difference = ours.get(word, 0) - theirs.get(word, 0)
            assert abs(difference) <= SIGMA * np.sqrt(4000 / 4)
    observable = SparsePauliOp(["ZZ", "XX"], [1.0, 0.5]).apply_layout(bare.layout)
    theirs = BackendEstimatorV2(backend=backend, options={"seed_simulator": 4}).run(
        [(bare, observable, values)], precision=0.01
    )
    ours = TwinEstimator(twin).run([(bare, observable, values)])
    # Theirs measures X after one more gate, which has an infidelity of its own.
    gap = np.abs(theirs.result()[0].data.evs - ours.result()[0].data.evs)
    assert np.all(gap < SIGMA * 0.015 + 0.005)
    assert not ours.result()[0].data.stds.any()


def test_ibm_local_mode_runs_unchanged(backend):
    runtime = pytest.importorskip("qiskit_ibm_runtime")
    circuit = transpile(bell(), backend, seed_transpiler=1)
    bare = transpile(bell(measured=False), backend, seed_transpiler=1)
    observable = SparsePauliOp("ZZ").apply_layout(bare.layout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0.50 calls these classes deprecated
        for mode in (runtime.Session(backend=backend), runtime.Batch(backend=backend), backend):
            counts = runtime.SamplerV2(mode=mode).run([circuit], shots=300).result()[0].data.meas
            assert counts.num_shots == 300
            value = runtime.EstimatorV2(mode=mode).run([(bare, observable)]).result()[0].data.evs
            assert 0.6 < value < 1.0


@pytest.mark.parametrize("shape", [(), (3,), (2, 1)])
def test_the_estimator_equals_qiskits_on_an_ideal_twin(shape):
    rng = np.random.default_rng(7)
    circuit, values = turned(), rng.uniform(-3, 3, (*shape, 2))
    observables = [["ZZ", "XY"], [SparsePauliOp(["IX", "ZI"], [0.3, -2.0]), "II"]]
    for obs in ("ZZ", observables if shape != (3,) else [["ZZ"], ["YX"]]):
        ours = TwinEstimator(Twin.ideal(2)).run([(circuit, obs, values)]).result()[0].data
        theirs = StatevectorEstimator().run([(circuit, obs, values)]).result()[0].data
        assert ours.evs.shape == theirs.evs.shape
        assert np.allclose(ours.evs, theirs.evs, rtol=0, atol=1e-12)
        assert not ours.stds.any()


def test_projectors_are_observables_too():
    value = TwinEstimator(Twin.ideal(2)).run([(bell(measured=False), {"00": 1.0, "1+": 2.0})])
    assert np.isclose(value.result()[0].data.evs, 0.5 + 2 * 0.25, atol=1e-12)


def test_one_circuit_is_compiled_once_for_all_its_values(twin):
    a = Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.rx(a, 0)
    angles = np.linspace(0, 1, 25)[:, None]
    fresh = Twin(twin.device)
    TwinEstimator(fresh).run([(circuit, "Z", angles)]).result()
    measured = circuit.copy()
    measured.measure_all()
    TwinSampler(fresh).run([(measured, angles)], shots=5).result()
    assert len(fresh._compiled) == 2  # noqa: SLF001 - the law is about the store


def test_trajectories_fill_the_standard_errors(twin):
    job = TwinEstimator(twin, engine="statevector", seed=3).run([(turned(), "ZZ", [0.4, 0.9])])
    exact = TwinEstimator(twin, engine="density").run([(turned(), "ZZ", [0.4, 0.9])])
    sampled, known = job.result()[0].data, exact.result()[0].data
    assert 0 < sampled.stds < 1 / 64
    assert abs(sampled.evs - known.evs) < SIGMA * sampled.stds


def test_the_sampler_gives_registers_shapes_and_the_same_shots_for_a_seed(twin):
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(1, "high")
    circuit = QuantumCircuit(QuantumRegister(2), low, high)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    one, two = (TwinSampler(twin, seed=2).run([(circuit, None, 40)]).result()[0] for _ in "ab")
    assert one.data.low.num_bits == one.data.high.num_bits == 1
    assert one.data.high.num_shots == one.metadata["shots"] == 40
    assert one.data.high.get_int_counts()[1] > 30
    assert np.array_equal(one.data.high.array, two.data.high.array)


def test_a_circuit_without_bits_or_a_wrong_precision_is_refused(twin):
    with pytest.raises(InputError, match="classical register"):
        TwinSampler(twin).run([bell(measured=False)])
    with pytest.raises(InputError, match="precision"):
        TwinEstimator(twin).run([(bell(measured=False), "ZZ")], precision=0.0)
