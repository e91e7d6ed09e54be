"""The part of a calibration that belongs to some of its qubits."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from qdt_emu.errors import InputError


def selected(tree: xr.DataTree, qubits: Sequence[int]) -> xr.DataTree:
    """Return the tree of `qubits`, renumbered 0.. in this order.

    Raises:
        InputError: For an unknown or repeated qubit.
    """
    n = tree.sizes["qubit"]
    if wrong := [q for q in qubits if not 0 <= q < n]:
        raise InputError(f"Qubits must lie in 0..{n - 1}, but {wrong[0]} does not.")
    if len(set(qubits)) < len(qubits):
        raise InputError(f"Qubits must be named once, but {list(qubits)} repeats one.")
    number = {old: new for new, old in enumerate(qubits)}
    nodes = {}
    for node in tree.subtree:
        data = node.to_dataset(inherit=False)
        if "qubit" in data.dims:
            data = data.isel(qubit=list(qubits))
        if "edge" in data.dims:
            data = _pairs(data, "edge", ("q0", "q1"), number)
        if "pair" in data.dims:
            data = _pairs(data, "pair", ("pair_q0", "pair_q1"), number)
        if "chain" in data:
            data = _chains(data, number)
        nodes[node.path] = data
    nodes["/"] = nodes["/"].assign_coords(qubit=np.arange(len(qubits)))
    return xr.DataTree.from_dict(nodes)


def _pairs(
    data: xr.Dataset, dim: str, ends: tuple[str, str], number: Mapping[int, int]
) -> xr.Dataset:
    """Keep the pairs inside the selection; couplings keep the smaller qubit first."""
    old = list(zip(*(data[end].values.tolist() for end in ends), strict=True))
    kept = [k for k, (a, b) in enumerate(old) if a in number and b in number]
    new = np.array([[number[q] for q in old[k]] for k in kept], np.int64).reshape(-1, 2)
    if dim == "pair":
        new = np.sort(new, axis=1)
    coords = {end: (dim, new[:, k]) for k, end in enumerate(ends)}
    return data.isel({dim: kept}).assign_coords(coords)


def _chains(data: xr.Dataset, number: Mapping[int, int]) -> xr.Dataset:
    rows = [[q for q in row if q >= 0] for row in data["chain"].values.tolist()]
    kept = [k for k, row in enumerate(rows) if row and set(row) <= set(number)]
    width = max((len(rows[k]) for k in kept), default=0)
    part = data.isel(chain_length=kept, position=slice(width))
    chain = np.full((len(kept), width), -1, np.int64)
    for row, k in zip(chain, kept, strict=True):
        row[: len(rows[k])] = [number[q] for q in rows[k]]
    return part.assign(chain=part["chain"].copy(data=chain))
