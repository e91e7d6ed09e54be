"""Bitstrings and bit arrays: the one place where strings are made and read.

In a string the highest classical bit is leftmost; in an array column `c` is classical bit `c`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from qdt_emu.errors import InputError


def strings(bits: NDArray[np.uint8]) -> list[str]:
    """Return one string per row of `bits`, shape (k, n)."""
    k, n = bits.shape
    if n == 0:
        return [""] * k
    letters = np.ascontiguousarray(bits[:, ::-1]) + np.uint8(48)
    return letters.view(f"S{n}").ravel().astype(f"U{n}").tolist()


def bits(keys: Sequence[str]) -> NDArray[np.uint8]:
    """Return the bits of equally long strings, shape (k, n)."""
    n = len(keys[0]) if keys else 0
    letters = np.frombuffer("".join(keys).encode(), np.uint8).reshape(len(keys), n)
    return np.ascontiguousarray(letters[:, ::-1] - np.uint8(48))


def tally(records: NDArray[np.uint8]) -> dict[str, int]:
    """Return how often each row of `records`, shape (shots, n), occurs, sorted by string.

    Cost:
        100 000 shots of 15 bits: 5 ms; up to 64 bits one sort of integers, above of bytes.
    """
    shots, n = records.shape
    packed = np.packbits(records[:, ::-1], axis=1)
    width = packed.shape[1]
    if n <= 64:
        wide = np.zeros((shots, 8), np.uint8)
        wide[:, 8 - width :] = packed
        codes, amounts = np.unique(wide.view(">u8").astype(np.uint64), return_counts=True)
        rows = codes.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - width :]
    else:
        codes, amounts = np.unique(packed.view(f"V{width}"), return_counts=True)
        rows = codes.view(np.uint8).reshape(-1, width)
    distinct = np.unpackbits(rows, axis=1, count=n)[:, ::-1]
    return dict(zip(strings(distinct), amounts.tolist(), strict=True))


def check_keys(keys: Iterable[str]) -> int:
    """Return the common length of bitstrings.

    Raises:
        InputError: There is none, or a string holds anything but 0 and 1, or lengths differ.
    """
    listed = list(keys)
    if not listed:
        raise InputError("Counts must hold at least one outcome, but there is none.")
    lengths = set(map(len, listed))
    if len(lengths) > 1:
        first = next(k for k in listed if len(k) != len(listed[0]))
        raise InputError(
            f"Bitstrings must be equally long, but '{listed[0]}' and '{first}' are not. "
            f"Pad with zeros on the left."
        )
    joined = "".join(listed)
    if joined.count("0") + joined.count("1") != len(joined):
        first = next(k for k in listed if set(k) - {"0", "1"})
        raise InputError(
            f"Bitstrings must hold only 0 and 1, but one is '{first}'. Write hexadecimal keys as "
            f"bits; for spaces between registers use `Counts.from_qiskit`."
        )
    return lengths.pop()


def z_clbits(observable: str | Iterable[int], n: int) -> tuple[int, ...]:
    """Return the classical bits of a product of Z, given as 'ZIZ' or as the bits themselves.

    Raises:
        InputError: Wrong length, a letter other than I and Z, or a bit that does not exist.
    """
    if isinstance(observable, str):
        if len(observable) != n or set(observable) - {"I", "Z"}:
            raise InputError(
                f"An observable of counts must be {n} letters I or Z, but it is '{observable}'. "
                f"Measure X or Y by rotating before the measurement, or use `estimate`."
            )
        return tuple(c for c, letter in enumerate(reversed(observable)) if letter == "Z")
    chosen = tuple(observable)
    for c in chosen:
        if not 0 <= c < n:
            raise InputError(f"A classical bit must be in 0..{n - 1}, but one is {c}.")
    if len(set(chosen)) != len(chosen):
        raise InputError(f"Classical bits must be distinct, but they are {chosen}.")
    return chosen
