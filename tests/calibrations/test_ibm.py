"""IBM's files of every age become calibrations; wrong files are refused with reasons."""

import contextlib
import copy
import json
import lzma
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdt_emu.calibrations.read import installed
from qdt_emu.calibrations.readers.ibm import read_ibm
from qdt_emu.calibrations.schema import Flag
from qdt_emu.errors import CalibrationError
from tests.calibrations.conftest import CONFIGURATION, PROPERTIES, gate, record


def faults_of(properties, configuration=None):
    with pytest.raises(CalibrationError) as caught:
        read_ibm(properties, configuration)
    return caught.value.faults


def test_numbers_arrive_in_si_at_their_place(properties, configuration):
    toy = read_ibm(properties, configuration, "toy file")
    assert toy.name == "ibm_toy"
    assert toy.values("qubits/t1") == pytest.approx([100e-6, 101e-6])
    assert toy.values("qubits/frequency") == pytest.approx([5e9, 5.01e9])
    assert toy.values("qubits/anharmonicity") == pytest.approx([-340e6] * 2)
    assert toy["gates_1q"].gate_1q.values.tolist() == ["id", "sx", "x", "rz"]
    assert toy.values("gates_1q/duration")[:, 0] == pytest.approx([40e-9] * 3 + [0])
    assert toy.edges == ((0, 1), (1, 0))
    assert toy.values("gates_2q/duration")[0] == pytest.approx([300e-9, 340e-9])
    assert toy.values("couplings/zz") == pytest.approx([-5e4])
    assert toy.values("couplings/j") == pytest.approx([2e6])
    assert toy.timing == pytest.approx(
        {"dt": 0.5e-9, "rep_delay": 250e-6, "granularity": 16, "pulse_alignment": 1}
    )
    assert toy.tree.attrs["processor_family"] == "Toy"
    assert toy.tree.attrs["source"] == "toy file"


def test_prepared_zero_and_one_are_not_swapped(properties):
    toy = read_ibm(properties)
    reading_one_of_zero, reading_zero_of_one = toy.values("readout/assignment")[0]
    assert (reading_one_of_zero, reading_zero_of_one) == (2**-7, 2**-6)


def test_the_two_orders_of_cx_keep_their_own_length(properties):
    assert read_ibm(properties).tree["gates_2q/directed"].item() == 1
    properties["gates"][-3]["parameters"][1]["value"] = 340
    assert read_ibm(properties).tree["gates_2q/directed"].item() == 0


def test_a_gate_in_one_order_is_missing_in_the_other(properties, configuration):
    del properties["gates"][-2]
    toy = read_ibm(properties, configuration)
    assert toy.edges == ((0, 1), (1, 0))
    assert toy.flags("gates_2q/infidelity").tolist() == [[Flag.OK, Flag.MISSING]]
    assert toy.tree["gates_2q/directed"].item() == 1


def test_times_are_utc_and_belong_to_each_value(properties):
    properties["qubits"][0][0]["date"] = "2026-01-30T23:30:00-05:00"
    toy = read_ibm(properties)
    assert toy.snapshot_time == np.datetime64("2026-01-31T10:00:00")
    measured_at = toy["qubits"]["t1_measured_at"].values
    assert measured_at[0] == np.datetime64("2026-01-31T04:30:00")
    assert measured_at[1] == np.datetime64("2026-01-31T10:00:00")


@pytest.mark.parametrize("unit", ["us", "\N{MICRO SIGN}s", "\N{GREEK SMALL LETTER MU}s"])
def test_every_micro_is_the_same(properties, unit):
    properties["qubits"][0][0]["unit"] = unit
    assert read_ibm(properties).values("qubits/t1")[0] == pytest.approx(100e-6)


@pytest.mark.parametrize(("dt", "delay"), [(0.5, 250.0), (0.5e-9, 250e-6)])
def test_timing_in_either_unit_is_recognised(properties, configuration, dt, delay):
    configuration |= {"dt": dt, "default_rep_delay": delay}
    timing = read_ibm(properties, configuration).timing
    assert timing["dt"] == pytest.approx(0.5e-9)
    assert timing["rep_delay"] == pytest.approx(250e-6)


def test_without_a_configuration_the_gates_give_the_coupling(properties):
    toy = read_ibm(properties)
    assert toy.edges == ((0, 1), (1, 0))
    assert toy.timing == {}
    assert toy.native_gates == ("id", "sx", "x", "rz", "cx")


SENTINELS = [
    ("gates", (0, 0), 1.0, "gates_1q/infidelity", (0, 0), Flag.SENTINEL, False),
    ("gates", (0, 0), 0.0, "gates_1q/infidelity", (0, 0), Flag.SENTINEL, False),
    ("gates", (0, 0), 0.7, "gates_1q/infidelity", (0, 0), Flag.UNPHYSICAL, True),
    ("gates", (8, 0), 1.0, "gates_2q/infidelity", (0, 0), Flag.SENTINEL, False),
    ("gates", (8, 0), 0.79, "gates_2q/infidelity", (0, 0), Flag.OK, True),
    ("gates", (8, 0), 0.81, "gates_2q/infidelity", (0, 0), Flag.UNPHYSICAL, True),
    ("gates", (8, 1), 0.0, "gates_2q/duration", (0, 0), Flag.SENTINEL, False),
    ("qubits", (0, 0), 0.0, "qubits/t1", (0,), Flag.SENTINEL, False),
    ("qubits", (0, 1), 201.0, "qubits/t2_echo", (0,), Flag.UNPHYSICAL, True),
    ("qubits", (0, 1), 200.0, "qubits/t2_echo", (0,), Flag.OK, True),
    ("qubits", (0, 3), 0.0, "qubits/anharmonicity", (0,), Flag.SENTINEL, False),
    ("qubits", (0, 4), 0.5, "readout/readout_error", (0,), Flag.SENTINEL, True),
    ("qubits", (0, 4), 0.02, "readout/readout_error", (0,), Flag.CONFLICTING, True),
    ("qubits", (0, 5), 0.0, "readout/assignment", (0, 1), Flag.SENTINEL, True),
    ("qubits", (0, 6), 1.0, "readout/assignment", (0, 0), Flag.SENTINEL, True),
    ("general", (1,), 0.0, "couplings/zz", (0,), Flag.SENTINEL, False),
    ("general", (1,), 2e-3, "couplings/zz", (0,), Flag.UNPHYSICAL, True),
    ("general", (1,), -2e-3, "couplings/zz", (0,), Flag.UNPHYSICAL, True),
]


@pytest.mark.parametrize(("part", "at", "value", "path", "index", "flag", "kept"), SENTINELS)
def test_fillers_are_flagged_and_only_measurements_stay(
    properties, part, at, value, path, index, flag, kept
):
    node = properties[part][at[0]]
    if part == "gates":
        node = node["parameters"]
    (node if len(at) == 1 else node[at[1]])["value"] = value
    toy = read_ibm(properties)
    assert toy.flags(path)[index] == flag
    assert np.isnan(toy.values(path)[index]) != kept
    repaired = list(toy.ledger.entries("repaired"))
    assert len(repaired) == (not kept)
    if not kept:
        assert repaired[0].old == value
        assert np.isnan(repaired[0].new)


def test_a_virtual_gate_of_no_error_and_no_time_is_not_a_filler(properties):
    toy = read_ibm(properties)
    assert toy.flags("gates_1q/infidelity")[3].tolist() == [Flag.OK, Flag.OK]
    assert toy.values("gates_1q/duration")[3].tolist() == [0, 0]


def test_an_old_measurement_is_stale_but_an_old_setting_is_not(properties):
    for part in (0, 7):
        properties["qubits"][0][part]["date"] = "2025-12-31T00:00:00Z"
    toy = read_ibm(properties)
    assert toy.flags("qubits/t1").tolist() == [Flag.STALE, Flag.OK]
    assert toy.flags("readout/duration").tolist() == [Flag.OK, Flag.OK]
    assert toy.values("qubits/t1")[0] == pytest.approx(100e-6)


def test_missing_values_are_nan_and_say_so(properties):
    del properties["qubits"][1][0]
    properties["qubits"][1][0]["value"] = None
    toy = read_ibm(properties)
    for path in ("qubits/t1", "qubits/t2_echo"):
        assert np.isnan(toy.values(path)).tolist() == [False, True]
        assert toy.flags(path).tolist() == [Flag.OK, Flag.MISSING]


def test_measure_fills_in_where_the_qubit_says_nothing(properties):
    del properties["qubits"][0][4]
    properties["gates"] += [gate("measure", [q], 0.02, 1000) for q in (0, 1)]
    toy = read_ibm(properties)
    assert toy.values("readout/readout_error")[0] == 0.02
    assert toy.flags("readout/readout_error")[1] == Flag.CONFLICTING
    assert toy.values("readout/readout_error")[1] == 3 * 2**-8


def test_mid_circuit_readout_and_reset_have_their_own_numbers(properties):
    properties["gates"].append(gate("measure_2", [1], 0.03, 600))
    short = {"gate": "reset_2", "qubits": [1], "parameters": [record("gate_length", 700, "ns")]}
    properties["gates"].append(short)
    toy = read_ibm(properties)
    assert toy.values("readout/duration_mid")[1] == pytest.approx(600e-9)
    assert toy.values("readout/readout_error_mid")[1] == 0.03
    assert toy.values("reset/duration_mid")[1] == pytest.approx(700e-9)
    assert toy.values("reset/duration")[0] == pytest.approx(1200e-9)


def test_layer_fidelities_come_with_their_chain(properties):
    properties["general"] += [record("lf_2", 0.9), record("lf_4", 0.8)]
    properties["general_qlists"] = [{"name": "lf_2", "qubits": [1, 0]}]
    benchmarks = read_ibm(properties)["benchmarks"]
    assert benchmarks.chain_length.values.tolist() == [2, 4]
    assert benchmarks.layer_fidelity.values.tolist() == [0.9, 0.8]
    assert benchmarks.chain.values.tolist() == [[1, 0], [-1, -1]]


def line(properties, pairs, n):
    """Make `properties` a device of n qubits with the given coupled pairs."""
    properties["qubits"] = [properties["qubits"][0]] * n
    properties["gates"] = [gate("cz", list(pair), 5e-3, 80) for pair in pairs]


def test_concatenated_indices_are_resolved_with_the_coupling(properties):
    line(properties, [(1, 12), (3, 11)], 13)
    properties["general"] = [record("zz_112", 4e-6, "GHz"), record("zz_11_3", 5e-6, "GHz")]
    toy = read_ibm(properties)
    assert toy.values("couplings/zz") == pytest.approx([4e3, 5e3])


def test_indices_that_fit_two_pairs_go_to_the_ordered_one(properties):
    line(properties, [(1, 12), (2, 11)], 13)
    properties["general"] = [record("zz_112", 4e-6, "GHz"), record("zz_45", 5e-6, "GHz")]
    toy = read_ibm(properties)
    assert toy.values("couplings/zz")[0] == pytest.approx(4e3)
    assert np.isnan(toy.values("couplings/zz")[1])
    (stranger,) = [e for e in toy.ledger if e.field == "zz_ab" and e.status == "ignored"]
    assert stranger.reason == "not a coupled pair"


def test_ambiguous_indices_are_ignored_and_said_so(properties):
    line(properties, [(1, 112), (11, 12), (111, 2)], 113)
    properties["general"] = [record("zz_1112", 4e-6, "GHz")]
    toy = read_ibm(properties)
    assert np.isnan(toy.values("couplings/zz")).all()
    assert "indices fit several coupled pairs" in {e.reason for e in toy.ledger}


def test_a_split_device_is_read_and_knows_its_parts(properties):
    properties["gates"] = properties["gates"][:8]
    assert read_ibm(properties).components == ((0,), (1,))


def set_value(part, *at):
    def change(properties, value):
        node = properties[part]
        for key in at:
            node = node[key]
        node["value"] = value

    return change


T1, ERROR = set_value("qubits", 0, 0), set_value("gates", 8, "parameters", 0)
BAD_NUMBERS = [
    (T1, float("nan"), "`T1` of qubit 0 must be finite, but is nan"),
    (T1, float("inf"), "`T1` of qubit 0 must be finite, but is inf"),
    (T1, -5.0, "`T1` of qubit 0 must lie in [1e-07, 0.02] s, but is -5e-06 s"),
    (T1, 1e6, "but is 1 s. Check the value and its unit."),
    (T1, "fast", "`T1` of qubit 0 must be a number, but is 'fast'"),
    (T1, True, "`T1` of qubit 0 must be a number, but is True"),
    (ERROR, -1e-3, "`gate_error` of cx on [0, 1] must lie in [0, 1], but is -0.001"),
    (ERROR, 1.01, "but is 1.01"),
    (set_value("qubits", 0, 5), 1.2, "`prob_meas0_prep1` of qubit 0"),
    (set_value("gates", 8, "parameters", 1), -300, "`gate_length` of cx on [0, 1]"),
]


@pytest.mark.parametrize(("change", "value", "text"), BAD_NUMBERS)
def test_a_bad_number_is_refused_by_name(properties, change, value, text):
    change(properties, value)
    (fault,) = faults_of(properties)
    assert text in fault


@pytest.mark.parametrize(
    ("at", "unit", "text"),
    [
        (0, "parsec", "unknown unit 'parsec' for a time. Use one of 's', 'ms', 'us'"),
        (0, "GHz", "unknown unit 'GHz' for a time"),
        (2, "us", "unknown unit 'us' for a frequency"),
        (4, "percent", "unknown unit 'percent' for a probability"),
        (0, None, "unknown unit None for a time"),
        (2, "MHz", "but is 5e+06 Hz"),
        (7, "s", "`readout_length` of qubit 0 must lie in [1e-09, 0.001] s"),
    ],
)
def test_a_wrong_unit_is_refused(properties, at, unit, text):
    properties["qubits"][0][at]["unit"] = unit
    (fault,) = faults_of(properties)
    assert text in fault


def change_time(p):
    p["qubits"][0][0]["date"] = "last week"


def drop_value(p):
    del p["qubits"][0][0]["value"]


STRUCTURE = [
    (lambda p: p.pop("gates"), "`gates` is missing"),
    (lambda p: p.pop("last_update_date"), "`last_update_date` is missing"),
    (lambda p: p.update(qubits=[]), "`qubits` is empty"),
    (lambda p: p["gates"][0].pop("qubits"), "Entry 0 of `gates` must have `gate` and `qubits`"),
    (lambda p: p["gates"].append(gate("sx", [0], 1e-4, 40)), "Gate sx on qubits [0] is listed 2"),
    (lambda p: p["gates"][8].update(qubits=[1, 1]), "(one is duplicated), but names [1, 1]"),
    (lambda p: p["gates"][8].update(qubits=[0, 7]), "must name qubits of 0..1, but names [0, 7]"),
    (lambda p: p["qubits"][0].append(record("T1", 90, "us")), "`T1` of qubit 0 is listed twice"),
    (lambda p: p.update(last_update_date="soon"), "must be ISO 8601, but is 'soon'"),
    (change_time, "The time stamp of `T1` of qubit 0 must be ISO 8601, but is 'last week'"),
    (drop_value, "`T1` of qubit 0 has no `value`"),
]


@pytest.mark.parametrize(("change", "text"), STRUCTURE)
def test_a_broken_file_is_refused(properties, change, text):
    change(properties)
    assert any(text in fault for fault in faults_of(properties))


CONFIGURATION_FAULTS = [
    ({"n_qubits": 3}, "The configuration has 3 qubits, but the properties list 2"),
    ({"basis_gates": ["sx", "ecr"]}, "Gate ecr is in `basis_gates`"),
    ({"coupling_map": [[0, 0]]}, "Pair of `coupling_map` must name different qubits"),
    ({"coupling_map": [[0, 5]]}, "must name qubits of 0..1, but names [0, 5]"),
    ({"dt": -1}, "`dt` must be a positive number, but is -1"),
    ({"dt": "fast"}, "`/configuration/dt` must be a number, but is 'fast'"),
    ({"coords": [[0, 1]]}, "`coords` must be 2 pairs (x, y), one per qubit"),
    (
        {"coupling_map": [[0, 1, 0]]},
        "Entries of `coupling_map` must be pairs, but one is [0, 1, 0]",
    ),
]


@pytest.mark.parametrize(("change", "text"), CONFIGURATION_FAULTS)
def test_a_configuration_that_does_not_fit_is_refused(properties, configuration, change, text):
    (fault,) = faults_of(properties, configuration | change)
    assert text in fault


def test_all_faults_of_a_file_come_at_once(properties):
    T1(properties, -1.0)
    ERROR(properties, 2.0)
    properties["qubits"][1][2]["unit"] = "parsec"
    assert len(faults_of(properties)) == 3


def places(node, where=()):
    if where:
        yield where
    children = {}
    if isinstance(node, dict | list):
        children = node if isinstance(node, dict) else dict(enumerate(node))
    for key, child in children.items():
        yield from places(child, (*where, key))


FILES = {"properties": PROPERTIES, "configuration": CONFIGURATION}
JUNK = [None, "x", 3, -1, 1.5, True, float("nan"), 1e300, 10**30, "0", [], {}, [1], {"a": 1}]
JUNK += [[None], [[0]], [[0, 1, 2]]]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(places(FILES))), st.sampled_from(JUNK), st.booleans())
def test_whatever_is_replaced_the_file_is_read_or_refused_with_reasons(where, junk, drop):
    files = copy.deepcopy(FILES)
    node = files
    for key in where[:-1]:
        node = node[key]
    if len(where) > 1 and drop:
        del node[where[-1]]
    elif len(where) > 1:
        node[where[-1]] = junk
    with contextlib.suppress(CalibrationError):
        read_ibm(files["properties"], files["configuration"])


def test_swapped_t1_and_t2_are_noticed_on_a_larger_device(properties):
    records = [record("T1", 50.0, "us"), record("T2", 120.0, "us")]
    properties |= {"qubits": [records] * 5, "general": []}
    assert "larger on 5 of 5 qubits" in faults_of(properties)[0]


def test_unknown_fields_are_never_fatal(properties, configuration):
    properties["qubits"][0].append(record("flux_noise", 1.0, "uPhi0"))
    properties["gates"].append({"gate": "ccx", "qubits": [0, 1, 0], "parameters": []})
    properties["gates"][-1]["qubits"] = [0]
    properties["gates"][0]["parameters"].append(record("leakage", 1e-5))
    properties["new"] = {"a": [1, 2]}
    configuration["newer"] = "x"
    ignored = {e.field for e in read_ibm(properties, configuration).ledger.entries("ignored")}
    assert {"flux_noise", "id leakage", "new", "newer"} <= ignored


@pytest.mark.parametrize("short", sorted(installed()))
def test_every_installed_file_is_read(load, short):
    properties, configuration = load(short)
    calibration = read_ibm(properties, configuration)
    assert calibration.n_qubits == len(properties["qubits"])
    listed = {(g["gate"], tuple(g["qubits"])) for g in properties["gates"]}
    names = calibration["gates_2q"].gate_2q.values.tolist()
    known = calibration.flags("gates_2q/infidelity") != Flag.MISSING
    found = {(names[g], calibration.edges[e]) for g, e in np.argwhere(known)}
    assert found <= listed
    assert len(found) >= len([1 for name, q in listed if len(q) == 2 and name == names[0]])


def test_the_sentinels_of_known_devices_are_counted(load):
    kyoto, torino = read_ibm(*load("kyoto")), read_ibm(*load("torino"))
    assert (kyoto.flags("gates_2q/infidelity") == Flag.SENTINEL).sum() == 144
    rzz = torino["gates_2q"].gate_2q.values.tolist().index("rzz")
    assert (torino.flags("gates_2q/infidelity")[rzz] == Flag.SENTINEL).sum() == 300
    assert (torino.flags("couplings/zz") == Flag.SENTINEL).all()


def test_a_kingston_qubit_without_coherence_times_is_missing(load):
    kingston = read_ibm(*load("kingston"))
    assert kingston.flags("qubits/t1")[146] == Flag.MISSING
    assert kingston.flags("qubits/t2_echo")[146] == Flag.MISSING


def test_measured_files_with_short_configurations_are_read(data):
    files = sorted(data.glob("*/*.properties.json.xz"))
    assert files
    for path in files:
        other = path.with_name(path.name.replace(".properties.", ".configuration."))
        with lzma.open(path) as p, lzma.open(other) as c:
            calibration = read_ibm(json.load(p), json.load(c))
        assert calibration.timing["dt"] == pytest.approx(2 / 9 * 1e-9)
        assert 10e-6 < calibration.timing["rep_delay"] < 1e-3


def test_older_properties_without_configuration_are_read(data):
    with tarfile.open(data / "ibm_calibration_series" / "older_properties.tar.xz") as archive:
        files = [archive.extractfile(member) for member in archive if member.isfile()]
        parsed = [json.load(file) for file in files]
    assert len(parsed) == 27
    for properties in parsed:
        calibration = read_ibm(properties)
        assert len(calibration.components) == 1
        assert calibration.edges
