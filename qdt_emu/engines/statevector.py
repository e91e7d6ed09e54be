"""The statevector engine: exact noisy trajectories, eight at a time on every core."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Kind, Structure, Values
from qdt_emu.engines.engine import Expectations, Plan, Records
from qdt_emu.engines.statevector_program import (
    Program,
    compile_program,
    cumulative_codes,
    tables,
)
from qdt_emu.kernels.ensemble import Groups, Room, misread_pairs, quiet_matrices, sample_groups
from qdt_emu.kernels.randomness import draw_codes, mix, shot_keys, uniform


@dataclass(frozen=True, eq=False)
class Prepared:
    structure: Structure
    early: Program
    late: Program


@dataclass(frozen=True)
class Statevector:
    precision: str = "single"
    threads: int | None = None

    @property
    def name(self) -> str:
        return "statevector"

    def prepare(self, structure: Structure, /) -> Prepared:
        return Prepared(
            structure,
            compile_program(structure, early=True),
            compile_program(structure, early=False),
        )

    def sample(self, state: Prepared, values: Values, /, *, shots: int, seed: int, program=None) -> Records:
        program = program or state.early
        structure = state.structure
        keys = shot_keys(np.uint64(seed), 0, shots)
        bits = np.zeros((shots, structure.n_clbits), np.uint8)
        numbers = tables(values)
        cumulative = cumulative_codes(program, values)
        live = np.flatnonzero(cumulative[:, 15] > 0)
        private = np.isin(program.columns[:, 0], (Kind.RELAXATION, Kind.LEAK)).astype(np.uint8)
        detuning = np.asarray(values.detuning, float)
        off = np.flatnonzero((detuning != 0).any(axis=1))
        blocks = program.blocks
        dynamic = blocks.dynamic.copy()
        dynamic[program.dwells[np.isin(program.dwells[:, 1], off), 0]] = 1
        blocks = blocks._replace(dynamic=dynamic)
        codes = np.zeros((shots, len(cumulative)), np.uint8)
        digests = np.zeros(shots, np.uint64)
        firsts = np.zeros(shots, np.int64)
        draw_codes(keys, live, program.numbers, cumulative, private, codes, digests, firsts)
        begin = program.owner[firsts]
        if dynamic.any():
            begin = np.minimum(begin, np.argmax(dynamic))
            digests = keys
        order = np.lexsort((digests, begin))
        edges = np.flatnonzero(np.diff(digests[order])) + 1
        start = np.concatenate([[0], edges, [shots]]).astype(np.int64)
        f = np.zeros((1, structure.n_qubits))
        if len(off):
            f = np.zeros((shots, structure.n_qubits))
            rng = np.random.default_rng(seed)
            f[:] = rng.normal(size=f.shape) * detuning[:, 0] + (rng.integers(0, 2, f.shape) - .5) * detuning[:, 1]
        groups = Groups(order, start, begin[order[start[:-1]]], codes, keys, f)
        n = len(blocks.groups)
        real = np.float32 if self.precision == "single" else np.float64
        quiet = np.zeros((n, 4, 4), complex)
        lanes = np.zeros((n, 32, 8), real)
        quiet_matrices(blocks, numbers, structure.n_qubits, quiet, lanes)
        widths = np.array(program.layout.widths, np.int64)
        threads = self.threads or os.cpu_count() or 1
        threads = min(threads, -(-len(groups.begin) // 8))

        def run(k: int) -> None:
            rows = 1 << program.layout.peak
            room = Room(
                np.empty((2, 2, rows, 8), real),
                np.empty((2, 2, rows, 8), real),
                np.zeros((32, 8), real),
                np.zeros((16, 8), real),
            )
            sample_groups(blocks, numbers, lanes, groups, program.leaf, widths, room, k, threads, bits, structure.n_qubits)

        if threads == 1:
            run(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, range(threads)))
        if structure.paired_readout:
            misread_pairs(bits, keys, np.array(structure.paired_readout, np.int64), np.asarray(values.pair_confusion, float), 10**6)
        return Records(bits, details={"groups": len(groups.begin)})
