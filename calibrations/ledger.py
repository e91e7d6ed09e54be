"""The ledger: what became of each field of a vendor's file, and why.

A field (a leaf of the file) belongs to the entry with the longest `where` above it.
`leaves` of an entry says how many fields it stands for, so the entries of a reader cover
a file exactly: the sum of `leaves` is the number of its fields.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import nan
from typing import Literal, NamedTuple, Self, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Status = Literal["used", "ignored", "repaired"]
STATUSES: tuple[Status, ...] = get_args(Status)


class Entry(NamedTuple):
    """One field or subtree of the file.

    `old` (vendor's unit) and `new` (SI) are set where a number was repaired.
    """

    where: str
    field: str
    status: Status
    reason: str
    old: float
    new: float
    leaves: int


@dataclass(frozen=True, eq=False)
class Ledger:
    """What became of each vendor field; columns of equal length, texts as codes.

    Attributes:
        where: JSON pointers as bytes (UTF-8), shape (entries,).
        codes: Codes of field, status and reason, shape (entries, 3).
        numbers: Old and new value, shape (entries, 2), NaN where nothing was repaired.
        leaves: Number of file fields each entry stands for, shape (entries,).
        terms: The texts that fields and reasons are codes of.
    """

    where: NDArray[np.bytes_]
    codes: NDArray[np.int32]
    numbers: NDArray[np.float64]
    leaves: NDArray[np.int32]
    terms: tuple[str, ...]

    @classmethod
    def empty(cls) -> Self:
        """Return a ledger without entries, for invented calibrations."""
        none = Draft().ledger()
        return cls(none.where, none.codes, none.numbers, none.leaves, none.terms)

    def __len__(self) -> int:
        return len(self.where)

    def __iter__(self) -> Iterator[Entry]:
        return self.entries()

    def entries(self, status: Status | None = None) -> Iterator[Entry]:
        """Yield the entries in file order, all or those of one status."""
        wanted = self.codes[:, 1] >= 0
        if status is not None:
            wanted = self.codes[:, 1] == STATUSES.index(status)
        for row in np.flatnonzero(wanted).tolist():
            name, code, reason = self.codes[row].tolist()
            old, new = self.numbers[row].tolist()
            yield Entry(
                self.where[row].decode(),
                self.terms[name],
                STATUSES[code],
                self.terms[reason],
                old,
                new,
                int(self.leaves[row]),
            )

    @property
    def counts(self) -> dict[str, int]:
        """Number of file fields per status."""
        return {
            status: int(self.leaves[self.codes[:, 1] == code].sum())
            for code, status in enumerate(STATUSES)
        }

    def summary(self) -> tuple[tuple[Status, str, int], ...]:
        """Return (status, reason, entries), repaired first, then by number."""
        tally = Counter(map(tuple, self.codes[:, 1:].tolist()))
        rows = [(STATUSES[s], self.terms[r], count) for (s, r), count in tally.items()]
        order = {"repaired": 0, "ignored": 1, "used": 2}
        return tuple(sorted(rows, key=lambda row: (order[row[0]], -row[2], row[1])))

    def __repr__(self) -> str:
        text = ", ".join(f"{status}={n}" for status, n in self.counts.items())
        return f"Ledger({text})"

    def to_dataset(self) -> xr.Dataset:
        """Return the ledger as a node of the calibration's tree."""
        status = {
            "flag_values": np.arange(3, dtype=np.int8),
            "flag_meanings": " ".join(STATUSES),
        }
        of_terms = {"long_name": "index into `terms`"}
        data = {
            "where": xr.Variable("entry", self.where),
            "field": xr.Variable("entry", self.codes[:, 0], of_terms),
            "status": xr.Variable("entry", self.codes[:, 1].astype(np.int8), status),
            "reason": xr.Variable("entry", self.codes[:, 2], of_terms),
            "old": xr.Variable("entry", self.numbers[:, 0]),
            "new": xr.Variable("entry", self.numbers[:, 1]),
            "leaves": xr.Variable("entry", self.leaves),
            "terms": xr.Variable("term", np.array([t.encode() for t in self.terms], "S")),
        }
        return xr.Dataset(data)

    @classmethod
    def from_dataset(cls, data: xr.Dataset) -> Self:
        """Return the ledger stored in `data` by `to_dataset`."""
        codes = [data[name].values for name in ("field", "status", "reason")]
        return cls(
            data["where"].values,
            np.stack(codes, axis=1).astype(np.int32),
            np.stack([data["old"].values, data["new"].values], axis=1),
            data["leaves"].values,
            tuple(term.decode() for term in data["terms"].values.tolist()),
        )


@dataclass
class Draft:
    """A ledger while a reader writes it: plain lists, because that is fast."""

    where: list[str] = field(default_factory=list)
    rows: list[tuple[int, int, int, float, float, int]] = field(default_factory=list)
    terms: dict[str, int] = field(default_factory=dict)

    def add(  # noqa: D417  old, new: see Entry
        self,
        where: str,
        name: str,
        status: Status,
        reason: str,
        *,
        leaves: int = 1,
        old: float = nan,
        new: float = nan,
    ) -> None:
        """Write one entry.

        Args:
            where: JSON pointer into the file.
            name: The vendor's name of the field.
            status: What became of it.
            reason: Why, or where the number went.
            leaves: How many fields of the file it stands for.
        """
        code = self.terms.setdefault(name, len(self.terms))
        why = self.terms.setdefault(reason, len(self.terms))
        self.where.append(where)
        self.rows.append((code, STATUSES.index(status), why, old, new, leaves))

    def ledger(self) -> Ledger:
        """Return the finished ledger."""
        rows = np.array(self.rows, np.float64).reshape(-1, 6)
        where = [pointer.encode() for pointer in self.where]
        return Ledger(
            np.array(where, "S" if where else "S1"),
            rows[:, :3].astype(np.int32),
            rows[:, 3:5],
            rows[:, 5].astype(np.int32),
            tuple(self.terms),
        )
