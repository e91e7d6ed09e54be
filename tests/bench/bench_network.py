"""The chip-shaped state against quimb's simple update: 127 qubits, nine steps, no noise.

Bars: 20 times faster than quimb at the same bond, and at the bond at which it is as accurate, and
within 1e-3 of the exact value. quimb runs as it comes, and with the settings that suit it best: one
BLAS thread, `svd:eig`. Its compilation is left out, ours includes a second run for the error.
"""

import os
import time

import numpy as np

from qdt_emu.engines.network import Network
from tests.bench import peers_network as peers
from tests.bench.row import absent, faster, within
from tests.engines import kicked_ising as ising

NAME = "network"
AS_ACCURATE = 12  # bond at which ours is nearer to the exact value than quimb with 16
EXACT = {9: 0.7442229390}  # published, theta = 6 pi / 32


def rows(*, quick: bool = False):
    """Return the rows of this benchmark."""
    steps, bond, repeats = (2, 4, 1) if quick else (9, 16, 3)
    theta = 6 * np.pi / 32
    structure, values = ising.structure(steps), ising.values(theta)
    paulis, readout = ising.codes("Z62"), np.tile([1.0, 0.0], (ising.N, 1))

    def ours(own=bond):
        engine = Network(max_bond=own, threads=1)
        state = engine.prepare(structure)
        return engine.estimate(state, values, paulis, readout, shots=1, seed=0)

    case = f"<Z62>, 127 qubits x {steps} kicked Ising steps, bond {bond}, no noise"
    tools = {"ours": ours}
    if not quick:
        tools["as accurate"] = lambda: ours(AS_ACCURATE)
    there = peers.installed("quimb")
    if there:
        peers.quimb_z(2, theta, 4)  # compile
        tools["quimb"] = lambda: peers.quimb_z(steps, theta, bond)
    answers = {name: work() for name, work in tools.items()}
    taken = {name: [] for name in tools}
    for _ in range(repeats):
        for name, work in tools.items():
            begin = time.process_time()
            work()
            taken[name].append(time.process_time() - begin)
    best = {name: min(times) for name, times in taken.items()}
    found, stated = float(answers["ours"].values[0]), answers["ours"].truncation
    if not there:
        return [absent(NAME, case, "quimb", peers.MISSING)]
    tool = f"{peers.label('quimb')}, CircuitPEPSSimpleUpdate, svd:eig, 1 BLAS thread"
    bar = None if quick else 20.0
    out = [
        faster(
            NAME, case, best["ours"], best["quimb"], bar, unit="CPU s",
            tool=tool, note="one thread each, best of turns; ours with its error",
        ),
        faster(
            NAME, case, _wall(ours), _wall(lambda: _as_it_comes(steps, theta, bond)), bar,
            tool=f"{peers.label('quimb')}, CircuitPEPSSimpleUpdate as it comes, "
            f"{os.cpu_count()} BLAS threads", note="wall time; ours on one thread",
        ),
    ]  # fmt: skip
    if not quick:
        true = EXACT[steps]
        away, theirs = abs(found - true), abs(answers["quimb"] - true)
        other = abs(float(answers["as accurate"].values[0]) - true)
        out += [
            faster(
                NAME, f"{case.replace(f'bond {bond}', f'bond {AS_ACCURATE}')}, as accurate",
                best["as accurate"], best["quimb"], bar if other <= theirs else None,
                unit="CPU s", tool=tool, note=f"quimb at bond {bond}; off by {other:.1e}, "
                f"quimb by {theirs:.1e}",
            ),
            within(
                NAME, f"{case}: error", away, 1e-3, unit="", peer=theirs, tool=tool,
                accuracy=f"{found:.6f}, exact {true:.6f}, stated +-{stated:.1e}",
            ),
        ]  # fmt: skip
    return out


def _as_it_comes(steps, theta, bond):
    return peers.quimb_z(steps, theta, bond, blas_threads=os.cpu_count() or 1, gate_opts={})


def _wall(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    for row in rows():
        print(row)
