"""Numbers follow from parameters and angles, in NumPy and in JAX, with derivatives."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qdt_emu.calibrations import Calibration
from qdt_emu.device import build, what_if
from qdt_emu.engines.density import Density
from qdt_emu.engines.density_jax import expectation
from qdt_emu.errors import InputError
from tests.circuit.exact import compiled, physical, toy

A, B = Parameter("a"), Parameter("b")


def rich_device(qubits: int = 3):
    """Every mechanism the exact engine has, and gates with angles."""
    device = what_if(
        toy(qubits, zz=40e3),
        over_rotation={"sx": 0.03, "cz": 0.02},
        phase={"cz": (0.01, -0.02)},
        crosstalk=1.5,
        spectator_zz=0.7,
        excited=0.01,
        reset_excitation=0.02,
        offset={0: 4e3, 1: -7e3},
        stark=3e4,
        spectator_flips=(0.01, 0.02),
        context=(0.03, 0.02, -0.04),
        pauli_rates={("cz", (0, 1)): np.arange(1, 16) * 1e-3, "sx": np.arange(15) * 1e-4},
    )
    return replace(device, readout_pairs=((0, 1),), parameters=replace(
        device.parameters, pair_correlation=np.array([0.05])
    ))  # fmt: skip


def circuit(measured: bool) -> QuantumCircuit:
    out = physical(3, 3)
    out.sx([0, 1, 2])
    out.rz(A, 0)
    out.rz(2 * B + A, 1)
    out.cz(0, 1)
    out.sx(1)
    out.delay(1.5e-6, 2, unit="s")
    out.cz(1, 2)
    out.sx([0, 1, 2])
    if measured:
        out.measure(range(3), range(3))
    return out


@pytest.mark.parametrize("measured", [True, False])
def test_jax_and_numpy_give_the_same_values(measured):
    device = rich_device()
    recipe = compiled(circuit(measured), device, measured=measured).recipe
    angles = recipe.bind({"a": 0.4, "b": -0.9})
    plain = recipe.values(device.parameters, angles, zz_frame=device.zz_frame)
    with jax.enable_x64(True):
        mapped = jax.tree.map(jnp.asarray, device.parameters)
        traced = jax.jit(lambda p, a: recipe.values(p, a, zz_frame=device.zz_frame))(
            mapped, jnp.asarray(angles)
        )
    for f in fields(plain):
        one, two = getattr(plain, f.name), getattr(traced, f.name)
        assert np.shape(one) == np.shape(two), f.name
        np.testing.assert_allclose(one, two, atol=1e-14, err_msg=f.name)


PAULIS = np.array([[3, 3], [1, 2], [0, 1]], np.uint8)


def pair() -> QuantumCircuit:
    """Small, because JAX compiles its gradient."""
    out = physical(3)
    out.sx([0, 1])
    out.rz(A, 0)
    out.cz(0, 1)
    out.rz(2 * B + A, 1)
    out.sx(0)
    out.delay(1e-6, 1, unit="s")
    out.cz(0, 1)
    out.sx(1)
    return out


def loss(found, device):
    """Return <P> summed over `PAULIS` as a function of parameters and angles."""
    value = expectation(found.structure)

    def of(parameters, angles):
        values = found.recipe.values(parameters, angles, zz_frame=device.zz_frame)
        up, down = parameters.assignment[:2].T
        readout = jnp.stack([1 - up - down, down - up], axis=1)
        return value(values, PAULIS, readout).sum()

    return of


@pytest.fixture(scope="module")
def slopes():
    """The function, where it is evaluated, and its gradient there: one compilation."""
    device = rich_device()
    found = compiled(pair(), device, measured=False)
    of, angles = loss(found, device), found.recipe.bind({"a": 0.4, "b": -0.9})
    with jax.enable_x64(True):
        mapped = jax.tree.map(jnp.asarray, device.parameters)
        gradient = jax.jit(jax.grad(of, argnums=(0, 1)))(mapped, jnp.asarray(angles))
    return of, device.parameters, angles, gradient


@pytest.mark.parametrize(
    "leaf",
    ["t1", "t2", "depolarizing", "zz", "assignment", "angles", "over_rotation", "phase",
     "excited", "offset", "pauli_rates"],
)  # fmt: skip
def test_gradients_equal_central_differences(slopes, leaf):
    of, parameters, angles, (by_parameters, by_angles) = slopes
    gradient = np.asarray(by_angles if leaf == "angles" else getattr(by_parameters, leaf))
    assert np.isfinite(gradient).all()
    direction = np.random.default_rng(1).standard_normal(gradient.shape)
    step = 1e-4 * {"t1": 1e-4, "t2": 1e-4, "zz": 4e4, "offset": 4e4}.get(leaf, 1.0) * direction

    def at(shift: np.ndarray) -> float:
        if leaf == "angles":
            return float(of(parameters, angles + shift))
        moved = replace(parameters, **{leaf: getattr(parameters, leaf) + shift})
        return float(of(moved, angles))

    with jax.enable_x64(True):
        numeric = (at(step) - at(-step)) / 2
    assert float(np.sum(gradient * step)) == pytest.approx(numeric, rel=1e-5, abs=1e-12)
    assert abs(numeric) > 1e-10


@pytest.mark.parametrize(
    ("leaf", "table"),
    [("excited", "relaxation"), ("crosstalk", "pauli2"), ("spectator_zz", "unitaries2"),
     ("t1", "relaxation"), ("phase", "unitaries1"), ("pair_correlation", "pair_confusion")],
)  # fmt: skip
def test_one_traced_leaf_among_numpy_ones_is_enough(leaf, table):
    wide = physical(4, 4)
    wide.sx(range(4))
    wide.cz(0, 1)
    wide.cz(2, 3)
    wide.sx(range(4))
    wide.measure(range(4), range(4))
    four = rich_device(4)
    recipe = compiled(wide, four).recipe

    def weight(x):
        p = replace(four.parameters, **{leaf: x})
        numbers = getattr(recipe.values(p, np.zeros(0), zz_frame=four.zz_frame), table)
        return (jnp.real(numbers).ravel() ** 2).sum() + jnp.imag(numbers).ravel().sum()

    at = np.asarray(getattr(four.parameters, leaf), float)
    with jax.enable_x64(True):
        gradient = np.asarray(jax.jit(jax.grad(weight))(jnp.asarray(at)))
        step = 1e-5 * (1e-4 if leaf == "t1" else 1.0) * np.ones_like(at)
        numeric = float(weight(at + step) - weight(at - step)) / 2
    assert float((gradient * step).sum()) == pytest.approx(numeric, rel=1e-5)
    assert abs(numeric) > 1e-15


def test_the_compiled_expectation_equals_the_exact_engine():
    device = rich_device()
    found = compiled(pair(), device, measured=False)
    noisy = found.bind({"a": 0.4, "b": -0.9})
    engine = Density()
    up, down = device.parameters.assignment[:2].T
    gain = np.stack([1 - up - down, down - up], axis=1)
    state = engine.prepare(noisy.structure)
    exact = engine.estimate(state, noisy.values, PAULIS, gain, shots=1, seed=0).values
    with jax.enable_x64(True):
        total = loss(found, device)(device.parameters, found.recipe.bind({"a": 0.4, "b": -0.9}))
        assert float(total) == pytest.approx(exact.sum(), abs=1e-12)


def test_a_job_reuses_the_recipe_of_its_device():
    device = what_if(toy(3), t1_spread=0.3)
    found = compiled(circuit(True), device)
    job = device.draw_job(np.random.default_rng(1))
    bound = found.bind({"a": 0.1, "b": 0.2}, device=job)
    assert bound.structure is found.structure
    again = compiled(circuit(True), job).bind({"a": 0.1, "b": 0.2})
    np.testing.assert_array_equal(bound.values.relaxation, again.values.relaxation)


def test_binding_a_parameter_equals_writing_its_number():
    device = toy(3)
    free = compiled(circuit(True), device).bind({"a": 0.3, "b": 1.1})
    fixed = compiled(circuit(True).assign_parameters({A: 0.3, B: 1.1}), device).bind()
    assert free.structure == fixed.structure
    np.testing.assert_allclose(free.values.unitaries1, fixed.values.unitaries1, atol=1e-15)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        (None, r"parameter\(s\) \['a', 'b'\] have no value. Bind the circuit or pass `binding`"),
        ({"a": 1.0}, r"\['b'\] have no value"),
        ({"a": 1.0, "b": np.nan}, r"`binding` must hold finite numbers, but b is nan"),
        ({"a": 1.0, "b": "x"}, r"`binding` must hold finite numbers, but b is 'x'"),
        ({"a": 1.0, "b": 1.0, "c": 0.0}, r"free parameters of the circuit \(a, b\), but names 'c'"),
    ],
)
def test_a_wrong_binding_is_refused(binding, message):
    with pytest.raises(InputError, match=message):
        compiled(circuit(True), toy(3)).bind(binding)


def test_equal_rows_are_stored_once():
    out = physical(2, 1)
    for _ in range(50):
        out.sx([0, 1])
        out.cz(0, 1)
    out.measure(0, 0)
    values = compiled(out, toy(2)).bind().values
    assert len(values.unitaries1) == len(values.unitaries2) == 1
    assert len(values.pauli2) == 1
    assert len(values.relaxation) < 8


def test_gates_by_matrix_keep_their_qubit_order():
    device = build(Calibration.uniform("toy", qubits=2, t1=1e-4, t2=1e-4))
    out = QuantumCircuit(2)
    matrix = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]])  # qubit 0 controls
    out.unitary(matrix, [0, 1])
    out.metadata = {"physical": True}
    found = compiled(out, device, measured=False, allow_noiseless=frozenset({"unitary"})).bind()
    np.testing.assert_allclose(found.values.unitaries2[0], np.eye(4)[[0, 1, 3, 2]], atol=1e-15)
