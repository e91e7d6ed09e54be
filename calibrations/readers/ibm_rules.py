"""What IBM's numbers mean, in which range they are plausible, which ones are fillers.

Choices: an error of 1 and a zero of a physical quantity (infidelity, duration, T1, T2,
frequency, anharmonicity, ZZ, J) become NaN, flagged `sentinel`. A readout error of 0.5
or more, and a readout probability of exactly 0 or 1, stay as published, flagged
`sentinel`: 0 of 4096 shots is a possible outcome. T2 > 2 T1, an infidelity above that of
full depolarisation and |ZZ| > 1 MHz stay, flagged `unphysical`.

Source:
    IBM's documentation of backend properties, and all snapshots of qiskit-ibm-runtime
    0.51.0.
"""

from math import nextafter

from qdt_emu.calibrations.readers.reading import Filler, Rule
from qdt_emu.calibrations.schema import Flag

VIRTUAL = frozenset({"rz", "u1", "p"})
"""Frame changes: no pulse, so zero duration and zero error are meant."""

ZERO = Filler(0.0, 0.0, Flag.SENTINEL, "0 instead of a measurement", kept=False)
ONE = Filler(1.0, 1.0, Flag.SENTINEL, "error 1: not calibrated", kept=False)
DEAD = Filler(0.5, 1.0, Flag.SENTINEL, "at least 0.5: the readout is dead", kept=True)
NEVER = Filler(0.0, 0.0, Flag.SENTINEL, "probability exactly 0", kept=True)
ALWAYS = Filler(1.0, 1.0, Flag.SENTINEL, "probability exactly 1", kept=True)


def _beyond(limit: float) -> Filler:
    reason = "above full depolarisation"
    return Filler(nextafter(limit, 1.0), 1.0, Flag.UNPHYSICAL, reason, kept=True)


def _strong(sign: int) -> Filler:
    low, high = sorted((sign * 1e6, sign * 1e9))
    return Filler(low, high, Flag.UNPHYSICAL, "above 1 MHz: not usable", kept=True)


# Plausible ranges are one to two decades wider than all numbers IBM has published since
# 2019, and narrow enough that a unit off by 1000 is noticed on most qubits.
COHERENCE = Rule("time", 1e-7, 2e-2, (ZERO,))
LENGTH = Rule("time", 1e-9, 1e-3, (ZERO,), ages=False)
FREE_LENGTH = Rule("time", 0.0, 1e-3, ages=False)

QUBIT = {
    "T1": ("qubits/t1", COHERENCE),
    "T2": ("qubits/t2_echo", COHERENCE),
    "frequency": ("qubits/frequency", Rule("frequency", 5e8, 3e10, (ZERO,))),
    "anharmonicity": ("qubits/anharmonicity", Rule("frequency", -5e9, 5e9, (ZERO,))),
    "readout_error": ("readout/readout_error", Rule("probability", 0, 1, (DEAD,))),
    "prob_meas1_prep0": (
        "readout/assignment",
        Rule("probability", 0, 1, (NEVER, ALWAYS)),
    ),
    "prob_meas0_prep1": (
        "readout/assignment",
        Rule("probability", 0, 1, (NEVER, ALWAYS)),
    ),
    "readout_length": ("readout/duration", LENGTH),
}
PREPARED = {"prob_meas1_prep0": 0, "prob_meas0_prep1": 1}

ERROR_1Q = Rule("probability", 0, 1, (ZERO, ONE, _beyond(2 / 3)))
ERROR_2Q = Rule("probability", 0, 1, (ZERO, ONE, _beyond(4 / 5)))
ERROR_VIRTUAL = Rule("probability", 0, 1, (ONE, _beyond(2 / 3)))

SPECIAL = {  # gates that are readouts or resets: parameter -> (path, rule)
    "measure": {
        "gate_error": ("readout/readout_error", QUBIT["readout_error"][1]),
        "gate_length": ("readout/duration", LENGTH),
    },
    "measure_2": {
        "gate_error": ("readout/readout_error_mid", QUBIT["readout_error"][1]),
        "gate_length": ("readout/duration_mid", LENGTH),
    },
    "reset": {"gate_length": ("reset/duration", LENGTH)},
    "reset_2": {"gate_length": ("reset/duration_mid", LENGTH)},
}

COUPLING = {
    "jq": ("couplings/j", Rule("frequency", -1e9, 1e9, (ZERO,))),
    "zz": (
        "couplings/zz",
        Rule("frequency", -1e9, 1e9, (ZERO, _strong(1), _strong(-1))),
    ),
}
LAYER_FIDELITY = Rule("probability", 0, 1)

DEFINITIONS = {
    "qubits/t1": "energy relaxation time",
    "qubits/t2_echo": "Hahn-echo coherence time (IBM's T2)",
    "qubits/frequency": "transition frequency between the two lowest levels",
    "qubits/anharmonicity": "difference of the 1-2 and 0-1 transition frequencies",
    "gates_1q/infidelity": "average gate infidelity, randomised benchmarking on all "
    "qubits simultaneously; id, sx, x and rx repeat one number",
    "gates_1q/duration": "pulse length",
    "gates_2q/infidelity": "average gate infidelity, randomised benchmarking of isolated "
    "pairs, one-qubit Cliffords included",
    "gates_2q/duration": "length of the pulse schedule",
    "readout/assignment": "frequency of reading the other value, state preparation "
    "included; prepared 0: prob_meas1_prep0, prepared 1: prob_meas0_prep1",
    "readout/readout_error": "mean of the two assignment probabilities",
    "readout/duration": "start of the readout pulse to the end of digitisation",
    "readout/readout_error_mid": "assignment error of measure_2, the short readout",
    "readout/duration_mid": "duration of measure_2, the short readout",
    "reset/duration": "duration of reset",
    "reset/duration_mid": "duration of reset_2, the short reset",
    "couplings/zz": "residual ZZ shift E11 - E10 - E01 + E00, divided by h",
    "couplings/j": "exchange coupling, divided by h",
    "benchmarks/layer_fidelity": "process fidelity of the gate layers of the best chain "
    "of this length (lf_N)",
}
