"""Pairs of bits that are misread together, in records of engines that draw shot by shot."""

import numpy as np
from numpy.typing import NDArray

from qdt_emu.circuit import Structure, Values
from qdt_emu.kernels.randomness import shot_keys
from qdt_emu.kernels.records import misread_pairs

PAIR_ITEM = 1 << 41
"""Item of the first pair's random numbers, beyond those of any operation; circuits are shorter."""


def misread_paired(
    bits: NDArray[np.uint8], structure: Structure, values: Values, seed: int
) -> None:
    """Misread the paired bits of all shots of a run, in place.

    Args:
        bits: True values of the paired bits, shape (shots, n_clbits).
        structure: Names the pairs.
        values: Holds P(read | true) of each pair.
        seed: Of the run; every shot has random numbers of its own.
    """
    if not structure.paired_readout:
        return
    pairs = np.array(structure.paired_readout, np.int64)
    confusion = np.ascontiguousarray(values.pair_confusion, np.float64)
    misread_pairs(bits, shot_keys(np.uint64(seed), 0, len(bits)), pairs, confusion, PAIR_ITEM)
