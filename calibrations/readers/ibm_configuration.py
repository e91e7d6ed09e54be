"""IBM's backend configuration: timing, positions and what the twin has no use for."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from qdt_emu.calibrations.readers.ibm_values import Values, escape
from qdt_emu.calibrations.readers.reading import Reading, count_leaves

Json = Mapping[str, Any]

USED = {
    "n_qubits": "number of qubits, compared with the properties",
    "basis_gates": "attribute native_gates",
    "coupling_map": "edges and coupled pairs",
    "coords": "coordinates x, y",
    "dt": "timing/dt",
    "default_rep_delay": "timing/rep_delay",
    "timing_constraints": "timing",
    "processor_type": "attributes processor_family, processor_revision",
    "calibration_id": "attribute operating_point",
}
IGNORED = {
    "backend_name": "the properties name it",
    "backend_version": "the properties name it",
    "gates": "gate definitions; which gates exist is read from the properties",
    "hamiltonian": "pulse-level model; no gate-level meaning",
    "dtm": "readout sampling; no gate-level meaning",
    "supported_instructions": "which operations are offered, not how well they work",
    "meas_map": "which qubits are read together; readout is read per qubit",
    "rep_delay_range": "only the default delay is used",
    "clops_h": "speed, not fidelity",
    "clops": "speed, not fidelity",
    "quantum_volume": "a benchmark of the transpiled device, not of its parts",
}
PULSE = frozenset(
    {"acquisition_latency", "channels", "conditional_latency", "discriminators"}
    | {"meas_kernels", "meas_levels", "meas_lo_range", "n_uchannels", "u_channel_lo"}
    | {"parametric_pulses", "qubit_channel_mapping", "qubit_lo_range", "rep_times"}
    | {"rep_delays", "uchannels_enabled", "pulse_num_channels", "pulse_num_qubits"}
)


def timing_of(configuration: Json, reading: Reading) -> dict[str, float]:
    """Return the timing settings in s and in dt.

    `dt` stands in ns in JSON and in s where the Qiskit object was dumped: no hardware
    samples slower than 1 us or faster than 1e-6 ns, so a value below 1e-6 is in s.
    `default_rep_delay` likewise is in us or s, with the border at 0.1.
    """
    timing: dict[str, float] = {}
    for key, name, border, unit in (
        ("dt", "dt", 1e-6, 1e-9),
        ("default_rep_delay", "rep_delay", 0.1, 1e-6),
    ):
        raw = configuration.get(key)
        if raw is None:
            continue
        if not isinstance(raw, int | float) or not isfinite(raw) or raw <= 0:
            reading.faults.append(f"`{key}` must be a positive number, but is {raw!r}.")
            continue
        timing[name] = float(raw) if raw < border else raw * unit
    for key in ("acquire_alignment", "granularity", "min_length", "pulse_alignment"):
        raw = (configuration.get("timing_constraints") or {}).get(key)
        if raw is not None:
            timing[key] = int(raw)
    return timing


def read_configuration(values: Values, configuration: Json) -> None:
    """Write the ledger of a configuration; what is used was read elsewhere."""
    for key, node in configuration.items():
        where = f"/configuration/{escape(key)}"
        if key in USED and node is not None:
            leaves = count_leaves(node)
            values.reading.draft.add(where, key, "used", USED[key], leaves=leaves)
        elif key in PULSE:
            values.ignore(where, key, node, "pulse-level setting")
        else:
            reason = IGNORED.get(key, "not a calibration number")
            values.ignore(where, key, node, reason)
