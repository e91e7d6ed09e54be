"""What a calibration holds, as data rather than as code: groups, axes, units, ranges.

A calibration is an `xarray.DataTree`. Each quantity `v` has three companions: `v_stderr`
(NaN if unknown), `v_flag` (int8, `Flag`) and `v_measured_at` (UTC). NaN occurs only in
`v` and `v_stderr`; why `v` is NaN stands in `v_flag`, and only there.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import inf

SCHEMA = "qdt-calibration/1"
CONVENTIONS = "CF-1.11"


class Flag(IntEnum):
    """How far a number can be trusted; stored as a CF flag.

    A flagged number may still be finite: it is then what the vendor published.
    """

    OK = 0
    """Measured and plausible."""
    MISSING = 1
    """Not in the vendor's file: NaN."""
    SENTINEL = 2
    """A filler instead of a measurement: NaN, except for readout (see `readers.ibm`)."""
    UNPHYSICAL = 3
    """Breaks a physical bound, e.g. T2 > 2 T1; kept as published."""
    IMPUTED = 4
    """Put in by a model or by hand, not measured."""
    STALE = 5
    """Measured long before the snapshot; kept."""
    CONFLICTING = 6
    """Disagrees with another field of the same file; kept."""


FLAG_MEANINGS = " ".join(flag.name.lower() for flag in Flag)


@dataclass(frozen=True)
class Quantity:
    """One measured quantity: its place, axes, SI unit and allowed range.

    Attributes:
        group: Name of the tree's node.
        name: Name of the variable.
        dims: Its axes, in order.
        unit: SI unit, or `'1'`.
        long_name: What it is, in words.
        low: Smallest allowed value.
        high: Largest allowed value.
        positive: Whether zero is excluded (times that rates are made of).
    """

    group: str
    name: str
    dims: tuple[str, ...]
    unit: str
    long_name: str
    low: float = 0.0
    high: float = inf
    positive: bool = False

    @property
    def path(self) -> str:
        """Where it stands in the tree, e.g. `'qubits/t1'`."""
        return f"{self.group}/{self.name}"


_QUBIT, _GATE_1Q, _GATE_2Q = ("qubit",), ("gate_1q", "qubit"), ("gate_2q", "edge")

QUANTITIES = (
    Quantity("qubits", "t1", _QUBIT, "s", "energy relaxation time", positive=True),
    Quantity("qubits", "t2_echo", _QUBIT, "s", "Hahn-echo coherence time", positive=True),
    Quantity("qubits", "t2_star", _QUBIT, "s", "Ramsey coherence time", positive=True),
    Quantity("qubits", "frequency", _QUBIT, "Hz", "0-1 transition", positive=True),
    Quantity("qubits", "anharmonicity", _QUBIT, "Hz", "anharmonicity", low=-inf),
    Quantity("qubits", "excited_population", _QUBIT, "1", "rest population", high=0.5),
    Quantity("gates_1q", "infidelity", _GATE_1Q, "1", "one-qubit infidelity", high=1.0),
    Quantity("gates_1q", "duration", _GATE_1Q, "s", "one-qubit gate duration"),
    Quantity("gates_2q", "infidelity", _GATE_2Q, "1", "two-qubit infidelity", high=1.0),
    Quantity("gates_2q", "duration", _GATE_2Q, "s", "two-qubit gate duration"),
    Quantity(
        "readout",
        "assignment",
        ("qubit", "prepared"),
        "1",
        "probability of reading the other value than the prepared one",
        high=1.0,
    ),
    Quantity("readout", "readout_error", _QUBIT, "1", "assignment error", high=1.0),
    Quantity("readout", "duration", _QUBIT, "s", "readout duration"),
    Quantity("readout", "readout_error_mid", _QUBIT, "1", "mid-circuit error", high=1.0),
    Quantity("readout", "duration_mid", _QUBIT, "s", "mid-circuit readout duration"),
    Quantity("reset", "duration", _QUBIT, "s", "reset duration"),
    Quantity("reset", "duration_mid", _QUBIT, "s", "duration of the short reset"),
    Quantity("couplings", "zz", ("pair",), "Hz", "residual ZZ shift", low=-inf),
    Quantity("couplings", "j", ("pair",), "Hz", "exchange coupling", low=-inf),
    Quantity(
        "benchmarks",
        "layer_fidelity",
        ("chain_length",),
        "1",
        "process fidelity of the layers of one chain",
        high=1.0,
    ),
)

BY_PATH = {q.path: q for q in QUANTITIES}
GROUPS = tuple(dict.fromkeys(q.group for q in QUANTITIES))
OPTIONAL = frozenset(
    (
        "qubits/t2_star",
        "qubits/excited_population",
        "readout/readout_error_mid",
        "readout/duration_mid",
        "reset/duration_mid",
    )
)

TIMING = {  # scalars without companions: settings of the control system, not measurements
    "dt": ("s", "sample time of the control electronics"),
    "rep_delay": ("s", "default wait between two shots"),
    "acquire_alignment": ("dt", "readout starts at multiples of this"),
    "granularity": ("dt", "durations are multiples of this"),
    "min_length": ("dt", "shortest pulse"),
    "pulse_alignment": ("dt", "pulses start at multiples of this"),
    "feedforward_latency": ("s", "from the end of a readout to the first pulse that depends on it"),
}

ATTRIBUTES = (
    "schema",
    "device",
    "vendor",
    "backend_version",
    "snapshot_time",
    "processor_family",
    "processor_revision",
    "source",
    "source_sha256",
    "operating_point",
    "native_gates",
    "Conventions",
)
