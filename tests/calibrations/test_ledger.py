"""Every field of a vendor's file is used, ignored or repaired, and counted once."""

import pytest

from qdt_emu.calibrations import Ledger
from qdt_emu.calibrations.ledger import Draft
from qdt_emu.calibrations.read import installed
from qdt_emu.calibrations.readers.ibm import read_ibm


def leaves(node, where):
    """Yield the JSON pointer of every scalar, independently of the reader."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from leaves(child, f"{where}/{key}")
    elif isinstance(node, list):
        for k, child in enumerate(node):
            yield from leaves(child, f"{where}/{k}")
    else:
        yield where


def owner(pointer, entries):
    while pointer not in entries:
        assert pointer, "a field without an entry"
        pointer = pointer.rpartition("/")[0]
    return pointer


def check_cover(calibration, properties, configuration):
    entries = {e.where: e.leaves for e in calibration.ledger if e.leaves}
    counted = dict.fromkeys(entries, 0)
    pointers = [*leaves(properties, "/properties"), *leaves(configuration, "/configuration")]
    for pointer in pointers:
        counted[owner(pointer, entries)] += 1
    assert counted == entries
    assert sum(calibration.ledger.counts.values()) == len(pointers)


def test_the_ledger_covers_every_field_exactly(properties, configuration):
    properties["qubits"][0][0]["value"] = 0
    properties["qubits"][0][1] |= {"comment": {"by": "nobody", "tags": [1, 2]}}
    properties["gates"][0] |= {"colour": "red"}
    properties["gates"].append({"gate": "ccx", "qubits": [0], "parameters": []})
    properties["extra"] = {"a/b": [1, {"c": None}]}
    check_cover(read_ibm(properties, configuration), properties, configuration)


@pytest.mark.parametrize("short", ["boston", "cairo", "kingston", "yorktown"])
def test_the_ledger_covers_every_field_of_real_files(load, short):
    properties, configuration = load(short)
    check_cover(read_ibm(properties, configuration), properties, configuration)


@pytest.mark.slow
@pytest.mark.parametrize("short", sorted(installed()))
def test_the_ledger_covers_every_installed_file(load, short):
    properties, configuration = load(short)
    check_cover(read_ibm(properties, configuration), properties, configuration or {})


def test_a_repair_holds_place_reason_and_old_value(properties):
    properties["qubits"][1][0]["value"] = 0
    (entry,) = read_ibm(properties).ledger.entries("repaired")
    assert entry.where == "/properties/qubits/1/0"
    assert entry.field == "T1"
    assert entry.reason == "qubits/t1; sentinel: 0 instead of a measurement"
    assert entry.old == 0
    assert entry.leaves == 4


def test_the_summary_puts_repairs_first_and_counts_alike_entries(properties):
    for q in (0, 1):
        properties["qubits"][q][3]["value"] = 0
    summary = read_ibm(properties).ledger.summary()
    assert summary[0] == (
        "repaired",
        "qubits/anharmonicity; sentinel: 0 instead of a measurement",
        2,
    )
    assert [status for status, _, _ in summary] == sorted(
        (status for status, _, _ in summary), key=["repaired", "ignored", "used"].index
    )


def test_an_empty_ledger_is_empty():
    ledger = Ledger.empty()
    assert len(ledger) == 0
    assert list(ledger) == []
    assert ledger.summary() == ()
    assert repr(ledger) == "Ledger(used=0, ignored=0, repaired=0)"


def test_a_ledger_survives_its_dataset():
    draft = Draft()
    draft.add("/ü/0", "T1 µs", "used", "qubits/t1")
    draft.add("/a", "gate", "repaired", "filler", leaves=3, old=1.0, new=0.5)
    ledger = draft.ledger()
    again = Ledger.from_dataset(ledger.to_dataset())
    assert [str(e) for e in again] == [str(e) for e in ledger]
    assert again.counts == {"used": 1, "ignored": 0, "repaired": 3}
    assert [e.where for e in again] == ["/ü/0", "/a"]
