"""Conversions between the numbers that calibration files call a gate's "error".

r is the average gate infidelity, e_P the process (Pauli) infidelity, p the depolarising
parameter of rho -> (1 - p) rho + p I/d, and d = 2^k the dimension:

    r = e_P d / (d + 1) = p (d - 1) / d

Every function is linear or built on `expm1` and `log1p`, so small errors keep their digits.
"""

from qdt_emu.noise.arrays import Array, namespace


def average_gate_fidelity(process_fidelity: Array, dim: int) -> Array:
    """The average gate fidelity F = (d F_p + 1) / (d + 1).

    Source:
        Horodecki et al., arXiv:quant-ph/9807091; Nielsen, arXiv:quant-ph/0205035.

    Examples:
        >>> average_gate_fidelity(0.25, 2)
        0.5
    """
    return (dim * process_fidelity + 1) / (dim + 1)


def process_fidelity(average_gate_fidelity: Array, dim: int) -> Array:
    """The process (entanglement) fidelity F_p = ((d + 1) F - 1) / d.

    Examples:
        >>> process_fidelity(0.5, 2)
        0.25
    """
    return ((dim + 1) * average_gate_fidelity - 1) / dim


def process_infidelity(infidelity: Array, dim: int) -> Array:
    """The process (Pauli) infidelity e_P = r (d + 1) / d: 1.5 r and 1.25 r on one and two qubits.

    Examples:
        >>> process_infidelity(0.01, 4)
        0.0125
    """
    return infidelity * (dim + 1) / dim


def average_infidelity(process_infidelity: Array, dim: int) -> Array:
    """The average gate infidelity r = e_P d / (d + 1) of a process (Pauli) infidelity.

    Examples:
        >>> average_infidelity(0.0125, 4)
        0.01
    """
    return process_infidelity * dim / (dim + 1)


def depolarizing_parameter(infidelity: Array, dim: int) -> Array:
    """The depolarising parameter p = r d / (d - 1) whose channel has average infidelity r.

    It is a channel for p up to d^2 / (d^2 - 1), that is r up to d / (d + 1).

    Examples:
        >>> depolarizing_parameter(0.5, 2)
        1.0
    """
    return infidelity * dim / (dim - 1)


def depolarizing_infidelity(parameter: Array, dim: int) -> Array:
    """The average infidelity r = p (d - 1) / d of the depolarising channel with parameter p.

    Examples:
        >>> depolarizing_infidelity(1.0, 4)
        0.75
    """
    return parameter * (dim - 1) / dim


def gate_infidelity_of_clifford(clifford_infidelity: Array, gates_per_clifford: Array) -> Array:
    """The infidelity per gate, 1 - (1 - r_C)^(1/n), of a randomized-benchmarking Clifford.

    Args:
        clifford_infidelity: Average infidelity r_C per Clifford, shape (...), below 1.
        gates_per_clifford: Mean number n of noisy gates in one Clifford, shape (...).

    Returns:
        Average infidelity per gate, shape (...).

    Error:
        Fidelities of gates multiply to first order only; n gates of equal depolarising noise
        differ from this by O(n r^2).

    Examples:
        >>> round(float(gate_infidelity_of_clifford(0.19, 2.0)), 12)
        0.1
    """
    xp = namespace(clifford_infidelity, gates_per_clifford)
    return -xp.expm1(xp.log1p(-xp.asarray(clifford_infidelity)) / gates_per_clifford)


def gate_infidelity_of_cycle(cycle: Array, first: Array, second: Array) -> Array:
    """The process infidelity of the two-qubit gate in a cross-entropy (XEB) cycle.

    A cycle is one two-qubit gate and one single-qubit gate on each of its qubits; files that
    quote the cycle contain the single-qubit errors: 1 - e = (1 - e_c) / ((1 - e_a)(1 - e_b)).

    Args:
        cycle: Process (Pauli) infidelity of the cycle, shape (...).
        first: Process infidelity of the single-qubit gate on the first qubit, shape (...).
        second: The same on the second qubit.

    Returns:
        Process infidelity of the two-qubit gate alone, shape (...). It is negative when the
        single-qubit gates are reported worse than the whole cycle.

    Error:
        Exact where process fidelities multiply, otherwise second order in the infidelities.

    Source:
        Arute et al., Nature 574, 505 (2019), supplement.

    Examples:
        >>> cycle = cycle_infidelity(0.005, 0.001, 0.002)
        >>> round(float(gate_infidelity_of_cycle(cycle, 0.001, 0.002)), 12)
        0.005
    """
    xp = namespace(cycle, first, second)
    logs = [xp.log1p(-xp.asarray(infidelity)) for infidelity in (cycle, first, second)]
    return -xp.expm1(logs[0] - logs[1] - logs[2])


def cycle_infidelity(gate: Array, first: Array, second: Array) -> Array:
    """The process infidelity of a cycle: a two-qubit gate and one gate on each of its qubits.

    The inverse of `gate_infidelity_of_cycle`, with the same arguments and error.

    Examples:
        >>> round(float(cycle_infidelity(0.0, 0.1, 0.1)), 12)
        0.19
    """
    xp = namespace(gate, first, second)
    logs = [xp.log1p(-xp.asarray(infidelity)) for infidelity in (gate, first, second)]
    return -xp.expm1(logs[0] + logs[1] + logs[2])
