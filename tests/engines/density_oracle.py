"""Dense Kraus evolution of a complex density matrix: slow, plain, independent of the package."""

from dataclasses import replace
from itertools import product

import numpy as np

from qdt_emu.circuit import Condition, Kind, Operation, Structure, Values

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def on(matrix, qubits, n):
    """The 2^n x 2^n matrix that acts on the given qubits, qubit 0 slowest."""
    k = len(qubits)
    rest = [q for q in range(n) if q not in qubits]
    full = np.kron(matrix, np.eye(2 ** (n - k))).reshape((2,) * (2 * n))
    place = np.argsort([*qubits, *rest])
    return full.transpose([*place, *(place + n)]).reshape(2**n, 2**n)


def string(codes):
    out = np.eye(1)
    for c in codes:
        out = np.kron(out, PAULIS[c])
    return out


def relaxation_kraus(e1, e2, p):
    a = 1 - e1
    low, high = 1 - p * a, 1 - (1 - p) * a
    weights, vectors = np.linalg.eigh([[low, e2], [e2, high]])
    diagonal = [np.sqrt(max(w, 0)) * np.diag(v) for w, v in zip(weights, vectors.T, strict=True)]
    up, down = np.array([[0, 0], [1, 0]]), np.array([[0, 1], [0, 0]])
    return [*diagonal, np.sqrt(p * a) * up, np.sqrt((1 - p) * a) * down]


def kraus(op, v):
    match op.kind:
        case Kind.UNITARY:
            return [(v.unitaries1 if len(op.qubits) == 1 else v.unitaries2)[op.slot]]
        case Kind.RELAXATION:
            return relaxation_kraus(*v.relaxation[op.slot])
        case Kind.PAULI:
            p = (v.pauli1 if len(op.qubits) == 1 else v.pauli2)[op.slot]
            codes = product(range(4), repeat=len(op.qubits))
            return [np.sqrt(w) * string(c) for w, c in zip(p, codes, strict=True)]
        case Kind.RESET:
            p = v.reset_excitation[op.slot]
            return [
                np.sqrt(w) * np.outer(np.eye(2)[to], np.eye(2)[of])
                for to, w in ((0, 1 - p), (1, p))
                for of in (0, 1)
            ]
        case _:
            return [np.eye(2 ** len(op.qubits))]


def holds(conditions, bits):
    return all(
        (sum(bits[c] << k for k, c in enumerate(t.clbits)) == t.value) == t.equal
        for t in conditions
    )


def evolve(structure, v):
    """Unnormalised density matrices by record."""
    n, paired = structure.n_qubits, {c for pair in structure.paired_readout for c in pair}
    rho = np.eye(1)
    for p in v.excited:
        rho = np.kron(rho, np.diag([1 - p, p]))
    branches = {(0,) * structure.n_clbits: rho.astype(complex)}
    for op in structure.operations:
        after = {}
        for bits, rho in branches.items():
            if not holds(op.conditions, bits):
                after[bits] = after.get(bits, 0) + rho
            elif op.kind is Kind.MEASURE:
                p01, p10 = (0, 0) if op.clbit in paired else v.confusion[op.slot]
                for true, read in product((0, 1), (0, 1)):
                    flip = p01 if true == 0 else p10
                    project = on(np.diag(np.eye(2)[true]), op.qubits, n)
                    new = (*bits[: op.clbit], read, *bits[op.clbit + 1 :])
                    weight = flip if read != true else 1 - flip
                    after[new] = after.get(new, 0) + weight * project @ rho @ project
            else:
                ks = [on(k, op.qubits, n) for k in kraus(op, v)]
                after[bits] = after.get(bits, 0) + sum(k @ rho @ k.conj().T for k in ks)
        branches = after
    for k, (a, b) in enumerate(structure.paired_readout):
        after = {}
        for bits, rho in branches.items():
            for x, y in product((0, 1), (0, 1)):
                new = list(bits)
                new[a], new[b] = x, y
                weight = v.pair_confusion[k, 2 * x + y, 2 * bits[a] + bits[b]]
                after[tuple(new)] = after.get(tuple(new), 0) + weight * rho
        branches = after
    return branches


def distribution(structure, v):
    out = np.zeros(2**structure.n_clbits)
    for bits, rho in evolve(structure, v).items():
        out[sum(b << c for c, b in enumerate(bits))] += np.trace(rho).real
    return out


def expectation(structure, v, codes, readout):
    out = np.eye(1)
    for c, (scale, shift) in zip(codes, readout, strict=True):
        measured = scale * PAULIS[c] + shift * np.eye(2) if c else PAULIS[0]
        out = np.kron(out, measured)
    return sum(np.trace(out @ rho).real for rho in evolve(structure, v).values())


def random_unitary(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d)))[0]


def random_values(rng, n, count=6, strength=0.2):
    """Tables with `count` rows each; every third relaxation has T2 = 2 T1."""
    e1 = np.exp(-strength * rng.random(count))
    e2 = np.where(np.arange(count) % 3 == 0, np.sqrt(e1), e1 * np.exp(-rng.random(count)))
    cold = np.where(np.arange(count) % 3 == 0, 0.0, 0.3 * rng.random(count))

    def chance(k):
        p = strength * rng.random((count, k)) / k
        p[:, 0] = 1 - p[:, 1:].sum(1)
        return p

    pair = rng.random((count, 4, 4)) * strength + np.eye(4)
    return replace(
        Values.empty(n),
        excited=0.2 * rng.random(n),
        unitaries1=np.stack([random_unitary(rng, 2) for _ in range(count)]),
        unitaries2=np.stack([random_unitary(rng, 4) for _ in range(count)]),
        relaxation=np.stack([e1, e2, cold], -1),
        pauli1=chance(4),
        pauli2=chance(16),
        confusion=strength * rng.random((count, 2)),
        pair_confusion=pair / pair.sum(1, keepdims=True),
        reset_excitation=strength * rng.random(count),
        dwell=1e-6 * rng.random(count),
        leakage=np.zeros((count, 2)),
    )


KINDS = [Kind.UNITARY, Kind.RELAXATION, Kind.PAULI, Kind.DWELL, Kind.LEAK, Kind.RESET, Kind.MEASURE]


def random_structure(rng, n, n_clbits, length, *, dynamic=True, count=6, terminal=True):
    """Random operations of every kind; `dynamic` adds measurements, resets and conditions."""
    ops = []
    chance = np.array([10, 4, 4, 1, 1, 1.5, 2.5] if dynamic else [10, 4, 4, 1, 1, 0, 0])
    for _ in range(length):
        kind = KINDS[rng.choice(len(KINDS), p=chance / chance.sum())]
        wide = kind in (Kind.UNITARY, Kind.PAULI, Kind.LEAK) and rng.random() < 0.5
        qubits = tuple(int(q) for q in rng.choice(n, 1 + wide, replace=False))
        conditions = []
        for _ in range(rng.choice(3, p=[0.6, 0.3, 0.1]) if dynamic else 0):
            bits = rng.choice(n_clbits, rng.integers(1, 3), replace=False)
            value = int(rng.integers(2 ** len(bits)))
            conditions.append(Condition(tuple(map(int, bits)), value, bool(rng.random() < 0.6)))
        clbit = int(rng.integers(n_clbits)) if kind is Kind.MEASURE else -1
        noise = kind in (Kind.RELAXATION, Kind.PAULI, Kind.DWELL, Kind.LEAK)
        mechanism = "gate" if noise else "ideal"
        slot = int(rng.integers(count))
        ops.append(Operation(kind, qubits, slot, clbit, tuple(conditions), mechanism))
    last = range(min(n, n_clbits)) if terminal else ()
    ops += [Operation(Kind.MEASURE, (q,), int(rng.integers(count)), q) for q in last]
    return Structure(tuple(ops), n, n_clbits, tuple(range(n)))
