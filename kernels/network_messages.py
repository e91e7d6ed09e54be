"""Belief propagation on a tensor network: messages sent site by site until they settle."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qdt_emu.kernels.randomness import Index

Array = Any
Ints = NDArray[np.int64]


class Sites(NamedTuple):
    """Sites in a row, flat.

    Attributes:
        tensors: All tensors, one after the other, each (bond, ..., bond, physical).
        first: Where each begins, shape (sites + 1,).
        legs: Bonds of each site in the order of its axes, -1 beyond, shape (sites, degree).
        ends: Which end of each of these bonds the site is, 0 or 1, shape (sites, degree).
        sends: Whether the site sends a message over each of these, shape (sites, degree).
        bonds: Dimension of each bond.
        weights: Of all bonds, one after the other.
        start: Where each bond's weights begin.
        place: Where the messages to both ends of each bond begin, shape (bonds, 2).
    """

    tensors: Array
    first: Ints
    legs: Ints
    ends: Ints
    sends: NDArray[np.bool_]
    bonds: Ints
    weights: Array
    start: Ints
    place: Ints


@njit(cache=True, nogil=True, error_model="numpy")
def brought(flat: Array, before: Index, bond: Index, after: Index) -> Array:
    """Return (before, bond, after) as a matrix (bond, before * after)."""
    out = np.empty((bond, before * after), flat.dtype)
    for x in range(before):
        for i in range(bond):
            for y in range(after):
                out[i, x * after + y] = flat[(x * bond + i) * after + y]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def acted(flat: Array, before: Index, bond: Index, after: Index, env: Array) -> Array:
    """Return (before, bond, after) after a matrix (bond, bond) on its middle, flat."""
    turned = np.dot(env, brought(flat, before, bond, after))
    out = np.empty(before * bond * after, flat.dtype)
    for x in range(before):
        for i in range(bond):
            for y in range(after):
                out[(x * bond + i) * after + y] = turned[i, x * after + y]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def sent(net: Sites, to: Array, site: Index, axis: Index) -> Array:
    """Return the message [bra, ket] of a site over one of its bonds, trace the bond dimension."""
    tensor = net.tensors[net.first[site] : net.first[site + 1]]
    degree = 0
    while degree < net.legs.shape[1] and net.legs[site, degree] >= 0:
        degree += 1
    ket, before = tensor, 1
    own_before = own_bond = 1
    for j in range(degree):
        edge = net.legs[site, j]
        bond = net.bonds[edge]
        after = len(tensor) // (before * bond)
        if j == axis:
            own_before, own_bond = before, bond
        elif bond > 1:
            w = net.weights[net.start[edge] : net.start[edge] + bond]
            begin = net.place[edge, net.ends[site, j]]
            env = np.empty((bond, bond), tensor.dtype)
            for x in range(bond):
                for y in range(bond):
                    env[x, y] = w[x] * to[begin + x * bond + y] * w[y]
            ket = acted(ket, before, bond, after, env)
        before *= bond
    after = len(tensor) // (own_before * own_bond)
    bra = np.conj(brought(tensor, own_before, own_bond, after))
    out = np.dot(bra, brought(ket, own_before, own_bond, after).T.copy())
    trace = 0.0
    for x in range(own_bond):
        trace += out[x, x].real
    return out * (own_bond / trace)


@njit(cache=True, nogil=True, error_model="numpy")
def settle(net: Sites, to: Array, order: Ints, tolerance: float, most: Index) -> tuple[float, int]:
    """Send messages from all sites, there and back, until they change no more; in place.

    Args:
        net: The network.
        to: Messages [bra, ket] to both ends of all bonds, flat.
        order: Sites in turn; every other sweep goes back.
        tolerance: Largest change of an entry, times the weights of the bond, at which it ends.
        most: Sweeps done at most.

    Returns:
        The largest change in the last sweep, and how many there were.
    """
    residual, sweeps = np.inf, 0
    while residual > tolerance and sweeps < most:
        residual = 0.0
        for turn in range(len(order)):
            site = order[turn] if sweeps % 2 else order[len(order) - 1 - turn]
            for axis in range(net.legs.shape[1]):
                edge = net.legs[site, axis]
                if edge < 0:
                    break
                bond = net.bonds[edge]
                if bond == 1 or not net.sends[site, axis]:
                    continue
                message = sent(net, to, site, axis)
                w = net.weights[net.start[edge] : net.start[edge] + bond]
                begin = net.place[edge, 1 - net.ends[site, axis]]
                for x in range(bond):
                    for y in range(bond):
                        k = begin + x * bond + y
                        change = w[x] * w[y] * abs(message[x, y] - to[k])
                        residual = max(residual, change)
                        to[k] = message[x, y]
        sweeps += 1
    return residual, sweeps
