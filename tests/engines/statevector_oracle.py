"""Tiny dense reference: density matrices per classical record, up to four qubits, and circuits."""

from itertools import product

import numpy as np

from qdt_emu.circuit.noisy import Condition, Kind, NoisyCircuit, Operation, Structure, Values

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def random_unitary(rng, size):
    q, r = np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))
    return q * (np.diagonal(r) / abs(np.diagonal(r)))


def relaxation_kraus(e1, e2, p):
    """Kraus operators from the eigenvectors of the Choi matrix, apart from the engine's form."""
    a = 1 - e1
    choi = np.diag([1 - p * a, p * a, (1 - p) * a, 1 - (1 - p) * a]).astype(complex)
    choi[0, 3] = choi[3, 0] = e2
    weights, vectors = np.linalg.eigh(choi)
    return [
        np.sqrt(w) * v.reshape(2, 2).T for w, v in zip(weights, vectors.T, strict=True) if w > 1e-14
    ]


def embed(matrix, qubits, n):
    """Return the operator on n qubits, qubit 0 the most significant index."""
    rest = [q for q in range(n) if q not in qubits]
    full = np.kron(matrix, np.eye(2 ** len(rest))).reshape((2,) * (2 * n))
    where = np.argsort([*qubits, *rest])
    return full.transpose([*where, *(n + where)]).reshape(2**n, 2**n)


def channel(op, values):
    """Return Kraus operators of an operation that writes nothing."""
    k = len(op.qubits)
    if op.kind is Kind.UNITARY:
        return [(values.unitaries1 if k == 1 else values.unitaries2)[op.slot]]
    if op.kind is Kind.RELAXATION:
        return relaxation_kraus(*values.relaxation[op.slot])
    if op.kind is Kind.PAULI:
        rates = (values.pauli1 if k == 1 else values.pauli2)[op.slot]
        strings = PAULIS if k == 1 else [np.kron(a, b) for a in PAULIS for b in PAULIS]
        return [np.sqrt(r) * s for r, s in zip(rates, strings, strict=True)]
    x = values.reset_excitation[op.slot]
    jump = [np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])]
    return [np.sqrt(1 - x) * m for m in jump] + [np.sqrt(x) * PAULIS[1] @ m for m in jump]


def branches(noisy):
    """Return {record: unnormalised density matrix} in front of correlated misreading."""
    s, v = noisy.structure, noisy.values
    n = s.n_qubits
    rho = np.ones((1, 1))
    for p in v.excited:
        rho = np.kron(rho, np.diag([1 - p, p]))
    states = {(0,) * s.n_clbits: rho.astype(complex)}
    paired = {c for pair in s.paired_readout for c in pair}
    for op in s.operations:
        after = {}
        for record, state in states.items():
            held = all(
                (sum(record[c] << k for k, c in enumerate(x.clbits)) == x.value) == x.equal
                for x in op.conditions
            )
            if not held:
                after[record] = after.get(record, 0) + state
            elif op.kind is Kind.MEASURE:
                for true, read in product((0, 1), (0, 1)):
                    wrong = 0.0 if op.clbit in paired else v.confusion[op.slot][true]
                    weight = wrong if true != read else 1 - wrong
                    project = embed(np.diag([1.0 - true, true]), op.qubits, n)
                    key = (*record[: op.clbit], read, *record[op.clbit + 1 :])
                    after[key] = after.get(key, 0) + weight * project @ state @ project
            else:
                kraus = [embed(m, op.qubits, n) for m in channel(op, v)]
                after[record] = after.get(record, 0) + sum(m @ state @ m.conj().T for m in kraus)
        states = after
    return states


def law(noisy):
    """Return the probability of every record, index sum_c bit_c 2**c."""
    s = noisy.structure
    out = np.zeros((2,) * s.n_clbits)
    for record, state in branches(noisy).items():
        out[record] += np.trace(state).real
    for (a, b), m in zip(s.paired_readout, noisy.values.pair_confusion, strict=True):
        out = np.moveaxis(out, (a, b), (0, 1))
        out = np.einsum("ijkl,kl...->ij...", m.reshape(2, 2, 2, 2), out)
        out = np.moveaxis(out, (0, 1), (a, b))
    return out.transpose(range(s.n_clbits)[::-1]).ravel()


def expectation(noisy, pauli, readout):
    """Return the expectation value of one string with the readout maps."""
    n = noisy.structure.n_qubits
    operator = np.ones((1, 1))
    for q, code in enumerate(pauli):
        one = readout[q, 0] * PAULIS[code] + readout[q, 1] * np.eye(2) if code else np.eye(2)
        operator = np.kron(operator, one)
    return sum(np.trace(operator @ state).real for state in branches(noisy).values()) if n else 1.0


def random_circuit(seed, *, n=3, steps=25, noise=1.0, ratio=1.0, rest=0.1, dynamic=True):
    """Return a random noisy circuit; T2 = `ratio` * T1, excited population at rest `rest`."""
    rng = np.random.default_rng(seed)
    n_clbits = n + 1
    kinds = ["u1", "u2", "u2", "relax", "relax", "p1", "p2"] + ["m", "reset", "if"] * dynamic
    operations = []
    u1, u2, relax, p1, p2 = [], [], [], [], []
    for _ in range(steps):
        kind = kinds[rng.integers(len(kinds))]
        q, r = (int(k) for k in rng.permutation(n)[:2])
        if kind in ("u1", "if"):
            u1.append(random_unitary(rng, 2))
            conditions = ()
            if kind == "if":
                bits = tuple(int(c) for c in rng.permutation(n_clbits)[: rng.integers(1, 3)])
                conditions = (Condition(bits, int(rng.integers(2)), bool(rng.integers(2))),)
            which = rng.integers(4) if kind == "if" else 0
            if which == 3:
                operations.append(Operation(Kind.RESET, (q,), 0, conditions=conditions))
            elif which == 2:
                bit = int(rng.integers(n_clbits))
                operations.append(Operation(Kind.MEASURE, (q,), q, bit, conditions=conditions))
            else:
                operations.append(Operation(Kind.UNITARY, (q,), len(u1) - 1, conditions=conditions))
        elif kind == "u2":
            u2.append(random_unitary(rng, 4))
            operations.append(Operation(Kind.UNITARY, (q, r), len(u2) - 1))
        elif kind == "relax":
            t = noise * rng.exponential(0.3)
            relax.append((np.exp(-t), np.exp(-t / ratio), rest))
            operations.append(Operation(Kind.RELAXATION, (q,), len(relax) - 1))
        elif kind in ("p1", "p2"):
            size = 4 if kind == "p1" else 16
            rates = rng.dirichlet(np.ones(size)) * 0.3 * min(noise, 1)
            rates[0] += 1 - rates.sum()
            (p1 if kind == "p1" else p2).append(rates)
            where = (q,) if kind == "p1" else (q, r)
            slot = len(p1 if kind == "p1" else p2) - 1
            operations.append(Operation(Kind.PAULI, where, slot))
        elif kind == "m":
            operations.append(Operation(Kind.MEASURE, (q,), q, int(rng.integers(n_clbits))))
        else:
            operations.append(Operation(Kind.RESET, (q,), 0))
    operations += [Operation(Kind.MEASURE, (q,), q, q) for q in range(n)]
    values = Values(
        excited=rng.uniform(0, 0.2, n) * min(noise, 1),
        unitaries1=np.array(u1).reshape(-1, 2, 2),
        unitaries2=np.array(u2).reshape(-1, 4, 4),
        relaxation=np.array(relax).reshape(-1, 3),
        pauli1=np.array(p1).reshape(-1, 4),
        pauli2=np.array(p2).reshape(-1, 16),
        confusion=rng.uniform(0, 0.3, (n, 2)),
        pair_confusion=np.zeros((0, 4, 4)),
        reset_excitation=np.array([0.1]),
        dwell=np.zeros(0),
        leakage=np.zeros((0, 2)),
        detuning=np.zeros((n, 2)),
    )
    return NoisyCircuit(Structure(tuple(operations), n, n_clbits, tuple(range(n))), values)
