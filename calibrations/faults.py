"""Every way in which a tree fails to be a calibration, one sentence each."""

import difflib
from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qdt_emu.calibrations.schema import (
    ATTRIBUTES,
    BY_PATH,
    GROUPS,
    OPTIONAL,
    SCHEMA,
    Flag,
    Quantity,
)

Group = Mapping[str, xr.Variable]
COMPANIONS = ("stderr", "flag", "measured_at")
OTHER = {
    "qubits": {"active"},
    "gates_2q": {"directed", "q0", "q1"},
    "couplings": {"pair_q0", "pair_q1"},
    "benchmarks": {"chain"},
}


def faults(tree: xr.DataTree) -> Iterator[str]:
    """Yield one sentence per fault of `tree`; yield nothing when it is sound."""
    yield from _root(tree)
    groups: dict[str, Group] = {
        name: {str(k): v for k, v in node.to_dataset(inherit=False).variables.items()}
        for name, node in tree.children.items()
    }
    for name in GROUPS:
        if name not in groups:
            yield f"Group '/{name}' is missing. Build the tree with `assemble`."
    for path, quantity in BY_PATH.items():
        group = groups.get(quantity.group)
        if group is None:
            continue
        if quantity.name in group:
            yield from _quantity(group, quantity)
        elif path not in OPTIONAL:
            yield f"`{path}` is missing (dims {quantity.dims}, unit '{quantity.unit}')."
    for name in GROUPS:
        yield from _strangers(name, groups.get(name, {}))
    n = tree.sizes.get("qubit", 0)
    yield from _pairs(groups.get("gates_2q", {}), "gates_2q", ("q0", "q1"), n)
    yield from _pairs(groups.get("couplings", {}), "couplings", ("pair_q0", "pair_q1"), n)


def _root(tree: xr.DataTree) -> Iterator[str]:
    for name in ATTRIBUTES:
        if not isinstance(tree.attrs.get(name), str):
            yield f"Attribute `{name}` must be text, but is {tree.attrs.get(name)!r}."
    if (schema := tree.attrs.get("schema")) != SCHEMA:
        yield f"Attribute `schema` must be '{SCHEMA}', but is {schema!r}."
    time = str(tree.attrs.get("snapshot_time", ""))
    try:
        if not time.endswith("Z") or np.isnat(np.datetime64(time[:-1])):
            raise ValueError
    except ValueError:
        yield f"`snapshot_time` must be ISO 8601 UTC like '2026-01-31T12:00:00Z', but is {time!r}."
    if "qubit" not in tree.coords:
        yield "Coordinate `qubit` is missing at the root."
        return
    qubits = tree.coords["qubit"].values
    unique, counts = np.unique(qubits, return_counts=True)
    if (counts > 1).any():
        twice = unique[counts > 1]
        yield f"Qubit {twice[0]} is listed {counts.max()} times. Give each qubit one row."
    elif not np.array_equal(qubits, np.arange(len(qubits))):
        yield (
            f"Coordinate `qubit` must be 0..{len(qubits) - 1} in order, but starts with "
            f"{qubits[:3].tolist()}. Use `Calibration.select` to reorder."
        )


def _quantity(group: Group, quantity: Quantity) -> Iterator[str]:
    variable, name, path = group[quantity.name], quantity.name, quantity.path
    if variable.dims != quantity.dims:
        yield f"`{path}` must have dims {quantity.dims}, but has {variable.dims}."
        return
    if (unit := variable.attrs.get("units")) != quantity.unit:
        yield f"`{path}` must be in '{quantity.unit}', but its units are {unit!r}."
    if not variable.attrs.get("definition"):
        yield f"`{path}` needs an attribute `definition` that says what was measured."
    absent = [part for part in COMPANIONS if f"{name}_{part}" not in group]
    for part in absent:
        yield f"`{path}` needs its companion `{name}_{part}`."
    for part in COMPANIONS:
        if part not in absent and group[f"{name}_{part}"].dims != variable.dims:
            yield f"`{name}_{part}` must have the dims of `{path}`, {variable.dims}."
            return
    if absent:
        return
    flag, stderr = group[f"{name}_flag"].values, group[f"{name}_stderr"].values
    yield from _numbers(variable.values, flag, quantity)
    if (bad := np.argwhere(stderr < 0)).size:
        where = tuple(bad[0])
        value, place = stderr[where], _at(bad[0], quantity)
        yield f"`{name}_stderr` must not be negative, but is {value:g} at {place}."


def _numbers(
    values: NDArray[np.float64], flag: NDArray[np.int8], quantity: Quantity
) -> Iterator[str]:
    empty = np.isnan(values)
    low = values <= 0 if quantity.positive else values < quantity.low
    span = f"{'(' if quantity.positive else '['}{quantity.low:g}, {quantity.high:g}]"
    rules = (
        (low | (values > quantity.high), f"must lie in {span} {quantity.unit}"),
        (np.isinf(values), "must be finite"),
        (empty & (flag == Flag.OK), "must say in its flag why it is NaN"),
        (~empty & (flag == Flag.MISSING), "is flagged missing, so it must be NaN"),
        ((flag < 0) | (flag >= len(Flag)), f"must have a flag of 0..{len(Flag) - 1}"),
    )
    for broken, rule in rules:
        if (bad := np.argwhere(broken)).size:
            value = values[tuple(bad[0])]
            more = f" ({len(bad)} such values)" if len(bad) > 1 else ""
            yield f"`{quantity.path}` {rule}, but is {value:g} at {_at(bad[0], quantity)}{more}."


def _at(index: NDArray[np.int64], quantity: Quantity) -> str:
    pairs = zip(quantity.dims, index.tolist(), strict=True)
    return ", ".join(f"{dim} {k}" for dim, k in pairs)


def _strangers(group: str, variables: Group) -> Iterator[str]:
    own = [q.name for q in BY_PATH.values() if q.group == group]
    known = set(own) | OTHER.get(group, set())
    known |= {f"{name}_{part}" for name in own for part in COMPANIONS}
    for name, variable in variables.items():
        if name not in known and variable.dims != (name,):
            near = difflib.get_close_matches(str(name), own, n=1)
            advice = f" Did you mean `{near[0]}`?" if near else ""
            yield f"`{group}/{name}` is not a quantity of the schema.{advice}"


def _pairs(group: Group, name: str, ends: tuple[str, str], n: int) -> Iterator[str]:
    if not set(ends) <= set(group):
        yield f"`{name}` needs the coordinates `{ends[0]}` and `{ends[1]}`."
        return
    pairs = list(zip(*(group[end].values.tolist() for end in ends), strict=True))
    for pair in pairs:
        if min(pair) < 0 or max(pair) >= n:
            yield f"Pair {pair} of `{name}` names a qubit that is not in 0..{n - 1}."
        elif pair[0] == pair[1]:
            yield f"Pair {pair} of `{name}` must join two different qubits."
        elif name == "couplings" and pair[0] > pair[1]:
            yield f"Pair {pair} of `couplings` must name the smaller qubit first."
    if len(set(pairs)) < len(pairs):
        twice = next(pair for pair in pairs if pairs.count(pair) > 1)
        yield f"Pair {twice} of `{name}` is listed {pairs.count(twice)} times."
