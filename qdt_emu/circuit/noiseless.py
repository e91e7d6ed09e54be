"""A noisy circuit with its noise, or all of it but the readout, taken away."""

from dataclasses import replace

import numpy as np

from qdt_emu.circuit.noisy import NoisyCircuit

ASKED_FOR = frozenset({"ideal", "readout", "reset"})


def noiseless(circuit: NoisyCircuit, *, keep_readout: bool = False) -> NoisyCircuit:
    """Return only what the user asked for: ideal gates, measurements and resets.

    Args:
        circuit: Any noisy circuit; its values are left as they are.
        keep_readout: Keep the misreading of the record.
    """
    structure, values = circuit.structure, circuit.values
    kept = tuple(op for op in structure.operations if op.mechanism in ASKED_FOR)
    pairs = structure.paired_readout if keep_readout else ()
    return NoisyCircuit(
        replace(structure, operations=kept, paired_readout=pairs),
        replace(
            values,
            excited=np.zeros_like(values.excited),
            reset_excitation=np.zeros_like(values.reset_excitation),
            confusion=values.confusion if keep_readout else np.zeros_like(values.confusion),
            pair_confusion=values.pair_confusion if keep_readout else np.zeros((0, 4, 4)),
        ),
    )
