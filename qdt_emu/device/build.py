"""Calibration -> Device, with every policy stated and every repair noted.

| case | condition | what is done | other policy |
|---|---|---|---|
| C1 | relaxation alone exceeds the infidelity | `anchor`: relaxation for s * t | `keep`, `raise` |
| C3 | residual above the complete-positivity limit | clamped to the limit | - |
| C3b | gate much longer than T1 and T2 | no residual | - |
| C4 | infidelity missing or >= `uncalibrated_from` | excluded, error on use | `impute` (median) |
| C5 | T2 > 2 T1 | T2 := 2 T1 | - |
| C5b | T1 or T2 missing | T1 := inf, T2 := 2 T1 | - |
| C6 | duration missing | residual only, no time | - |
| C9 | infidelity 0 on a physical gate | excluded | `impute` (median) |
| R | one or both readout errors missing | the mean `readout_error` | - |
| R | excited population too large for the readout errors | lowered | - |
| ZZ | rate missing or flagged as not usable | taken as 0 | - |
| A | duration or latency assumed by the reader | used | `feedforward_latency` |
| RS | no error of resets published | those of the readout that a reset is made of | `perfect` |
| D | Ramsey and echo time both published | detuning from shot to shot | `slow_dephasing` |

Source: the residual formula holds for any known part, see `noise.depolarizing`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdt_emu.calibrations import Calibration
from qdt_emu.calibrations.schema import Flag
from qdt_emu.device.assumed import (
    FEEDFORWARD_LATENCY,
    assumptions,
    schedule_of,
    shot_to_shot_detuning,
)
from qdt_emu.device.conditional_reset import conditional_resets
from qdt_emu.device.device import SYMMETRIC, VIRTUAL, Device, Instruction, Note
from qdt_emu.device.parameters import Parameters
from qdt_emu.errors import CalibrationError, InputError
from qdt_emu.noise.coherent import Frame
from qdt_emu.noise.depolarizing import anchor_scale, residual_depolarizing
from qdt_emu.noise.infidelity import average_gate_fidelity
from qdt_emu.noise.readout import divide_out_preparation
from qdt_emu.noise.relaxation import relaxation_process_fidelity

NOT_GATES = frozenset({"measure", "measure_2", "reset", "reset_2", "delay", "barrier", "if_else"})

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Policy:
    """How a device is built where the calibration leaves a choice.

    Attributes:
        negative_residual: 'anchor' reproduces the published infidelity with a shorter relaxation;
            'keep' keeps T1 and T2 and over-predicts the infidelity; 'raise' refuses.
        uncalibrated: 'exclude' leaves such instructions out; 'impute' gives them the median.
        uncalibrated_from: Infidelities from here on are read as 'not calibrated'.
        excited_population: Equilibrium population of |1>, one number or one per qubit. IBM files
            do not contain it. It is divided out of the readout errors.
        zz: False leaves the published ZZ rates out.
        zz_frame: 'neighbour_ground' or 'dressed', see `noise.zz_unitary`.
        feedforward_latency: In s, between a measurement's end and what depends on it; None takes
            the calibration's, or 1 us where it has none.
        slow_dephasing: False leaves out the detuning from shot to shot that follows from a Ramsey
            time below the echo time.
        resets: 'conditional' takes a reset without a published error as a measurement and a flip
            conditioned on its record, see `conditional_resets`; 'perfect' never fails.
    """

    negative_residual: str = "anchor"
    uncalibrated: str = "exclude"
    uncalibrated_from: float = 0.5
    excited_population: float | tuple[float, ...] = 0.0
    zz: bool = True
    zz_frame: Frame = "neighbour_ground"
    feedforward_latency: float | None = None
    slow_dephasing: bool = True
    resets: str = "conditional"

    def __post_init__(self) -> None:
        allowed = {
            "negative_residual": ("anchor", "keep", "raise"),
            "uncalibrated": ("exclude", "impute"),
            "zz_frame": ("neighbour_ground", "dressed"),
            "resets": ("conditional", "perfect"),
        }
        for name, choices in allowed.items():
            if (value := getattr(self, name)) not in choices:
                raise InputError(f"`{name}` must be one of {choices}, but is {value!r}.")


@dataclass(frozen=True)
class _Rows:
    """Published numbers of all gates of one size, aligned."""

    names: list[str]
    qubits: NDArray[np.int64]
    infidelity: Floats
    duration: Floats

    def __len__(self) -> int:
        return len(self.names)


def build(calibration: Calibration, policy: Policy | None = None) -> Device:
    """Return the device a calibration describes.

    Args:
        calibration: What was measured.
        policy: How gaps and contradictions are treated; the default is the table above.

    Raises:
        CalibrationError: A contradiction that the policy says to refuse.

    Error:
        The composite channel of each instruction reproduces its published infidelity to 1e-12
        where no case applies, and to 1e-10 under `anchor`.
    """
    policy = policy or Policy()
    notes: list[Note] = []
    t1, t2 = _coherence(calibration, notes)
    n = calibration.n_qubits
    excited = np.broadcast_to(np.asarray(policy.excited_population, float), (n,)).copy()
    assignment, excited = _readout(calibration, excited, notes)
    instructions: list[Instruction] = []
    excluded: dict[tuple[str, tuple[int, ...]], str] = {}
    residual: list[Floats] = []
    scale: list[Floats] = []
    faults: list[str] = []
    for rows in (_rows_1q(calibration), _rows_2q(calibration)):
        kept = _usable(rows, policy, excluded, notes)
        p, s = _split(kept, t1, t2, policy, notes, faults)
        instructions += [
            Instruction(name, tuple(q), float(t), float(r))
            for name, q, t, r in zip(
                kept.names, kept.qubits.tolist(), kept.duration, kept.infidelity, strict=True
            )
        ]
        residual.append(p)
        scale.append(s)
    if faults:
        raise CalibrationError(calibration.name, tuple(faults))
    couplers, zz = _zz(calibration, instructions, policy, notes)
    parameters = Parameters(
        t1=t1,
        t2=t2,
        excited=excited,
        depolarizing=np.concatenate(residual),
        relaxation_scale=np.concatenate(scale),
        assignment=assignment,
        reset_excitation=np.zeros(n),
        zz=zz,
        detuning=shot_to_shot_detuning(calibration, notes) if policy.slow_dephasing else None,
    )
    notes += assumptions(calibration)
    latency = policy.feedforward_latency
    if latency is None:
        latency = calibration.timing.get("feedforward_latency", FEEDFORWARD_LATENCY)
    device = Device(
        name=calibration.name,
        calibration_id=calibration.id,
        n_qubits=n,
        instructions=tuple(instructions),
        readout_duration=_column(calibration, "readout/duration"),
        reset_duration=_column(calibration, "reset/duration"),
        couplers=couplers,
        parameters=parameters,
        dt=calibration.timing.get("dt"),
        feedforward_latency=latency,
        zz_frame=policy.zz_frame,
        excluded=excluded,
        notes=tuple(notes),
        positions=_positions(calibration),
        snapshot_time=str(np.datetime_as_string(calibration.snapshot_time, unit="s")) + "Z",
        labels=calibration.vendor_qubits,
        schedule=schedule_of(calibration),
    )
    return conditional_resets(device) if policy.resets == "conditional" else device


def _coherence(calibration: Calibration, notes: list[Note]) -> tuple[Floats, Floats]:
    t1 = _column(calibration, "qubits/t1")
    t2 = _column(calibration, "qubits/t2_echo")
    star = _column(calibration, "qubits/t2_star")
    for q in np.flatnonzero(np.isnan(t2) & ~np.isnan(star)):
        t2[q] = star[q]
        notes.append(_note("C5b", "t2", [q], None, star[q], "no echo time: Ramsey time used"))
    gone = "not published: no relaxation"
    notes += [_note("C5b", "t1", [q], None, np.inf, gone) for q in np.flatnonzero(np.isnan(t1))]
    t1 = np.where(np.isnan(t1), np.inf, t1)
    gone = "not published: 2 * t1"
    notes += [_note("C5b", "t2", [q], None, 2 * t1[q], gone) for q in np.flatnonzero(np.isnan(t2))]
    t2 = np.where(np.isnan(t2), 2 * t1, t2)
    high = "above 2 * t1, which is unphysical"
    notes += [_note("C5", "t2", [q], t2[q], 2 * t1[q], high) for q in np.flatnonzero(t2 > 2 * t1)]
    return t1, np.minimum(t2, 2 * t1)


def _readout(calibration: Calibration, excited: Floats, notes: list[Note]) -> tuple[Floats, Floats]:
    published = _column(calibration, "readout/assignment", (calibration.n_qubits, 2))
    mean = _column(calibration, "readout/readout_error")
    out = published.copy()
    for q, b in np.argwhere(np.isnan(out)):
        if not np.isnan(mean[q]):
            out[q, b] = mean[q]
            reason = "not published: readout_error used"
            notes.append(_note("R", f"P(read {1 - b} | {b})", [q], None, mean[q], reason))
    if not excited.any():
        return out, excited
    known = ~np.isnan(out).any(axis=1)
    p01, p10, allowed, _ = divide_out_preparation(out[known, 0], out[known, 1], excited[known])
    for q, old, new in zip(np.flatnonzero(known), excited[known], allowed, strict=True):
        if new < old:
            reason = "lowered: the published P(read 1 | 0) leaves no room for it"
            notes.append(_note("R", "excited population", [q], old, new, reason))
    out[known, 0], out[known, 1], excited[known] = p01, p10, allowed
    return out, excited


def _rows_1q(calibration: Calibration) -> _Rows:
    names = [str(g) for g in calibration["gates_1q"]["gate_1q"].values]
    keep = [i for i, g in enumerate(names) if g not in NOT_GATES]
    infidelity = calibration.values("gates_1q/infidelity")[keep]
    duration = calibration.values("gates_1q/duration")[keep]
    flags = calibration.flags("gates_1q/infidelity")[keep]
    there = ~((flags == Flag.MISSING) & np.isnan(duration))
    gate, qubits = np.nonzero(there)
    rows = [names[keep[g]] for g in gate]
    r, t = infidelity[there], duration[there]
    # A frame change takes no time and has no error, whatever the file leaves out about it.
    frame = np.array([g in VIRTUAL for g in rows], bool) & (np.nan_to_num(t) == 0)
    return _Rows(rows, qubits[:, None], np.where(frame, 0.0, r), np.where(frame, 0.0, t))


def _rows_2q(calibration: Calibration) -> _Rows:
    gates = [str(g) for g in calibration["gates_2q"]["gate_2q"].values]
    edges = np.array(calibration.edges, np.int64).reshape(-1, 2)
    names: list[str] = []
    parts = [(np.zeros((0, 2), np.int64), np.zeros(0), np.zeros(0))]
    for g, name in enumerate(gates):
        # An edge the gate is not listed on is absent; an edge with a sentinel is present.
        r = calibration.values("gates_2q/infidelity")[g]
        t = calibration.values("gates_2q/duration")[g]
        there = ~((calibration.flags("gates_2q/infidelity")[g] == Flag.MISSING) & np.isnan(t))
        pairs, r, t = edges[there], r[there], t[there]
        if name in SYMMETRIC:
            listed = {tuple(p) for p in pairs.tolist()}
            other = np.array([tuple(p[::-1]) not in listed for p in pairs.tolist()], bool)
            pairs = np.concatenate([pairs, pairs[other][:, ::-1]])
            r, t = np.concatenate([r, r[other]]), np.concatenate([t, t[other]])
        names += [name] * len(pairs)
        parts.append((pairs, r, t))
    pairs, r, t = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _Rows(names, pairs, r, t)


def _usable(
    rows: _Rows,
    policy: Policy,
    excluded: dict[tuple[str, tuple[int, ...]], str],
    notes: list[Note],
) -> _Rows:
    """Return the rows that may be used, others explained in `excluded` and `notes`."""
    r, t = rows.infidelity.copy(), rows.duration.copy()
    missing = np.isnan(t)
    for i in np.flatnonzero(missing & ~np.isnan(r)):
        reason = "not published: takes no time"
        notes.append(_note("C6", "duration", rows.qubits[i], None, 0.0, reason, rows.names[i]))
    t[missing] = 0.0
    physical = np.array([g not in VIRTUAL for g in rows.names], bool) | (t > 0)
    with np.errstate(invalid="ignore"):
        bad = np.isnan(r) | (r >= policy.uncalibrated_from) | ((r == 0) & physical)
    keep = ~bad
    for i in np.flatnonzero(bad):
        key = (rows.names[i], tuple(int(q) for q in rows.qubits[i]))
        old = None if np.isnan(r[i]) else float(r[i])
        case = "C4" if old is None or old > 0 else "C9"
        same = [j for j in range(len(rows)) if rows.names[j] == key[0] and not bad[j]]
        if policy.uncalibrated == "impute" and same:
            r[i] = float(np.median(rows.infidelity[same]))
            t[i] = t[i] or float(np.median(t[same]))
            keep[i] = True
            reason = "not calibrated: median of the gate"
            notes.append(_note(case, "infidelity", key[1], old, r[i], reason, key[0]))
        else:
            excluded[key] = f"it is not calibrated (published infidelity {old})"
            reason = "not calibrated: excluded"
            notes.append(_note(case, "infidelity", key[1], old, None, reason, key[0]))
    index = np.flatnonzero(keep)
    return _Rows([rows.names[i] for i in index], rows.qubits[index], r[index], t[index])


def _split(
    rows: _Rows, t1: Floats, t2: Floats, policy: Policy, notes: list[Note], faults: list[str]
) -> tuple[Floats, Floats]:
    """Return the residual depolarising parameter and relaxation scale of each row."""
    if not len(rows):
        return np.zeros(0), np.zeros(0)
    k = rows.qubits.shape[1]
    dim = 2**k
    own_t1, own_t2 = t1[rows.qubits], t2[rows.qubits]
    fidelity = _relaxed_fidelity(rows.duration, own_t1, own_t2, dim)
    p = np.asarray(residual_depolarizing(rows.infidelity, fidelity, dim), float)
    scale = np.ones(len(rows))
    limit = dim**2 / (dim**2 - 1)
    singular = dim * fidelity - 1 < 1e-6
    for case, hit, value, reason in (
        ("C3b", singular, 0.0, "relaxation leaves nothing to depolarise"),
        ("C3", ~singular & (p > limit), limit, "residual above the complete-positivity limit"),
    ):
        for i in np.flatnonzero(hit):
            gate = rows.names[i]
            notes.append(_note(case, "residual", rows.qubits[i], p[i], value, reason, gate))
        p = np.where(hit, value, p)
    # Rounding makes residuals of -1e-17 out of gates without noise.
    negative = np.flatnonzero(p < -1e-12)
    raw, p = p, np.maximum(p, 0.0)
    if negative.size and policy.negative_residual == "anchor":
        scale[negative] = anchor_scale(
            rows.infidelity[negative], rows.duration[negative], own_t1[negative], own_t2[negative]
        )
    for i in negative:
        what, old, new, gate = "share of relaxation", 1.0, scale[i], rows.names[i]
        if policy.negative_residual == "keep":
            what, old, new = "residual", raw[i], 0.0
        reason = (
            f"relaxation alone ({1 - fidelity[i]:.3e}) exceeds the published infidelity "
            f"({rows.infidelity[i]:.3e})"
        )
        if policy.negative_residual == "raise":
            faults.append(
                f"{what} of {gate} on {rows.qubits[i].tolist()}: {reason}. Re-measure it, or use "
                f"another `negative_residual`."
            )
        notes.append(_note("C1", what, rows.qubits[i], old, new, reason, gate))
    return p, scale


def _relaxed_fidelity(duration: Floats, t1: Floats, t2: Floats, dim: int) -> Floats:
    process = np.prod(relaxation_process_fidelity(duration[:, None], t1, t2), axis=-1)
    return np.asarray(average_gate_fidelity(process, dim), float)


def _zz(
    calibration: Calibration, instructions: list[Instruction], policy: Policy, notes: list[Note]
) -> tuple[tuple[tuple[int, int], ...], Floats]:
    pairs = {(min(i.qubits), max(i.qubits)) for i in instructions if len(i.qubits) == 2}
    pairs |= {(min(a, b), max(a, b)) for a, b in calibration.edges}
    couplers = tuple(sorted(pairs))
    rates = np.zeros(len(couplers))
    if not policy.zz or not calibration.has("couplings/zz"):
        if policy.zz and couplers:
            where = f"zz of all {len(couplers)} couplers"
            notes.append(Note("ZZ", where, None, 0.0, "not published: taken as absent"))
        return couplers, rates
    data = calibration["couplings"]
    ends = zip(data["pair_q0"].values.tolist(), data["pair_q1"].values.tolist(), strict=True)
    published = dict(zip(ends, calibration.values("couplings/zz").tolist(), strict=True))
    rates = np.array([published.get(pair, np.nan) for pair in couplers])
    unknown = np.isnan(rates)
    if unknown.any():
        where = f"zz of {unknown.sum()} of {len(couplers)} couplers"
        notes.append(Note("ZZ", where, None, 0.0, "not usable in the calibration: taken as absent"))
    return couplers, np.where(unknown, 0.0, rates)


def _positions(calibration: Calibration) -> Floats | None:
    coords = calibration["qubits"].coords
    if "x" not in coords:
        return None
    return np.stack([coords["x"].values, coords["y"].values], axis=1).astype(float)


def _column(calibration: Calibration, path: str, shape: tuple[int, ...] | None = None) -> Floats:
    if not calibration.has(path):
        return np.full(shape or (calibration.n_qubits,), np.nan)
    return np.array(calibration.values(path), float)


def _note(
    case: str,
    what: str,
    qubits: Any,
    old: float | None,
    new: float | None,
    reason: str,
    gate: str = "",
) -> Note:
    on = tuple(int(q) for q in qubits)
    of = f"{what} of {gate}" if gate else what
    where = f"{of} of qubit {on[0]}" if len(on) == 1 else f"{of} on {on[0]}, {on[1]}"
    before, after = (None if x is None else float(x) for x in (old, new))
    return Note(case, where, before, after, reason, on, gate)
