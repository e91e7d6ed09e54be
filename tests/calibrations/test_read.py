"""A calibration is found by name, by file and in a backend."""

import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import qdt_emu
from qdt_emu.calibrations import Calibration, bundle, bundled, read_calibration
from qdt_emu.calibrations.readers.ibm import read_ibm
from qdt_emu.errors import CalibrationError, InputError


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_snapshot_is_read_by_all_its_names(name):
    short = name.removeprefix("ibmq_").removeprefix("ibm_")
    calibration = read_calibration(name)
    assert calibration.name == name
    assert calibration.vendor_qubits == tuple(range(calibration.n_qubits))
    date = str(calibration.snapshot_time)[:10]
    for other in (short.upper(), f"fake_{short}/{date}"):
        assert read_calibration(other) == calibration


@pytest.mark.parametrize("short", bundle.DEVICES)
def test_a_bundled_snapshot_holds_the_numbers_of_its_source(load, short):
    fresh, bundled_one = read_ibm(*load(short)), read_calibration(short)
    for node in fresh.tree.subtree:
        if node.children:  # the root; its attributes name the device
            continue
        theirs = bundled_one.tree[node.path].to_dataset(inherit=False)
        assert node.to_dataset(inherit=False).identical(theirs), node.path


def test_bundles_are_rebuilt_identically(load, tmp_path):
    load("lima")
    folder = bundle.build("lima", tmp_path)
    assert Calibration.from_netcdf(folder / "values.nc") == read_calibration("lima")
    with pytest.raises(InputError, match="'atlantis' is not found"):
        bundle.build("atlantis", tmp_path)


def test_a_device_of_an_installed_runtime_is_found_by_name(load):
    assert read_calibration("fake_washington") == read_ibm(*load("washington"))


def test_an_unknown_name_is_answered_with_near_and_bundled_ones():
    with pytest.raises(InputError) as caught:
        read_calibration("sherbroke")
    assert "Did you mean 'sherbrooke'" in str(caught.value)
    assert ", ".join(bundled()) in str(caught.value)
    with pytest.raises(InputError, match="'sherbrooke/1999-01-01' is neither"):
        read_calibration("sherbrooke/1999-01-01")


@pytest.mark.parametrize(
    "pack", [(".json", bytes), (".json.xz", lzma.compress), (".json.gz", gzip.compress)]
)
@pytest.mark.parametrize("names", [("props_toy", "conf_toy"), ("a.properties", "a.configuration")])
def test_a_configuration_beside_the_properties_is_found(
    properties, configuration, tmp_path, pack, names
):
    suffix, compress = pack
    parts = zip(names, (properties, configuration), strict=True)
    first, second = [(tmp_path / f"{name}{suffix}", node) for name, node in parts]
    for path, node in (first, second):
        path.write_bytes(compress(json.dumps(node).encode()))
    full = read_calibration(first[0])
    assert full == read_ibm(properties, configuration)
    assert full.tree.attrs["source"] == first[0].name
    second[0].unlink()
    assert read_calibration(str(first[0])) == read_ibm(properties)


def test_a_written_calibration_is_read_by_its_path(tmp_path):
    toy = Calibration.uniform("toy", qubits=2, t1=1e-4, t2=8e-5)
    toy.to_netcdf(tmp_path / "toy.nc")
    assert read_calibration(tmp_path / "toy.nc") == toy


@pytest.mark.parametrize("suffix", ["nc", "json", "csv", "json.xz"])
def test_a_file_that_is_not_there_is_named(tmp_path, suffix):
    with pytest.raises(InputError, match=f"lost.{suffix}' does not exist"):
        read_calibration(tmp_path / f"lost.{suffix}")


def test_truncated_json_is_refused(properties, tmp_path):
    text = json.dumps(properties)
    path = tmp_path / "props_toy.json"
    for length in (0, 10, len(text) // 2, len(text) - 1):
        path.write_text(text[:length])
        with pytest.raises(CalibrationError, match=r"not complete JSON.*Download it again"):
            read_calibration(path)


def test_a_truncated_archive_is_refused(properties, tmp_path):
    for suffix, compress in ((".xz", lzma.compress), (".gz", gzip.compress)):
        path = tmp_path / f"props_toy.json{suffix}"
        path.write_bytes(compress(json.dumps(properties).encode())[:-20])
        with pytest.raises(CalibrationError, match="not complete JSON"):
            read_calibration(path)


def test_json_that_is_not_an_object_is_refused(tmp_path):
    (tmp_path / "props_toy.json").write_text("[1, 2]")
    with pytest.raises(CalibrationError, match="must hold a JSON object, but holds a list"):
        read_calibration(tmp_path / "props_toy.json")


class Model(SimpleNamespace):
    """Something with `to_dict`, like Qiskit's models."""

    def to_dict(self):
        return self.node


def test_a_backend_with_properties_gives_the_same_as_its_files(properties, configuration):
    backend = SimpleNamespace(
        name="toy",
        properties=lambda: Model(node=properties),
        configuration=lambda: Model(node=configuration),
    )
    assert read_calibration(backend) == read_ibm(properties, configuration)


def test_a_fake_backend_gives_the_same_as_its_files(load):
    providers = pytest.importorskip("qiskit_ibm_runtime.fake_provider")
    assert read_calibration(providers.FakeLimaV2()) == read_ibm(*load("lima"))


def test_a_backend_with_only_a_target_is_read():
    target = pytest.importorskip("qiskit.transpiler")
    provider = pytest.importorskip("qiskit.providers")
    library = pytest.importorskip("qiskit.circuit.library")
    instruction = target.InstructionProperties
    known = [provider.QubitProperties(t1=1e-4, t2=8e-5, frequency=5e9)] * 2
    parts = target.Target(num_qubits=2, dt=1e-9, qubit_properties=known)
    single = {(q,): instruction(duration=40e-9, error=2e-4) for q in (0, 1)}
    parts.add_instruction(library.SXGate(), single)
    parts.add_instruction(library.CZGate(), {(0, 1): instruction(duration=80e-9, error=5e-3)})
    readout = {(q,): instruction(duration=1e-6, error=0.02) for q in (0, 1)}
    parts.add_instruction(library.Measure(), readout)
    toy = read_calibration(SimpleNamespace(name="toy", target=parts))
    assert toy.name == "toy"
    assert toy.values("qubits/t1") == pytest.approx([1e-4, 1e-4])
    assert toy.values("gates_1q/infidelity").tolist() == [[2e-4, 2e-4]]
    assert toy.edges == ((0, 1),)
    assert toy.values("readout/readout_error").tolist() == [0.02, 0.02]
    assert toy.values("readout/duration") == pytest.approx([1e-6, 1e-6])
    assert np.isnan(toy.values("readout/assignment")).all()
    assert toy.timing["dt"] == pytest.approx(1e-9)
    assert np.isnat(toy["qubits"]["t1_measured_at"].values).all()


def test_something_else_than_a_backend_is_refused():
    with pytest.raises(InputError, match="must have `properties\\(\\)` or a `target`"):
        read_calibration(42)


def test_importing_the_stage_does_not_import_qiskit():
    code = "import sys, qdt_emu.calibrations as c; c.read_calibration('lima'); print(*sys.modules)"
    home = Path(qdt_emu.__file__).parents[1]
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=home, text=True).split()
    assert not {"qiskit", "qiskit_ibm_runtime", "jax", "quimb"} & set(loaded)


def test_the_folder_refuses_a_top_level_import():
    code = "import calibrations"
    home = Path(qdt_emu.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, text=True, capture_output=True, check=False
    )
    assert "Use `import qdt_emu.calibrations`" in done.stderr
