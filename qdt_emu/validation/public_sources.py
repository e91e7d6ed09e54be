"""Where public measurements come from, under which terms, and the SHA-256 of every file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

CHECKSUMS: Mapping[str, str] = MappingProxyType(
    json.loads(Path(__file__).with_name("public_data.json").read_text())
)
"""SHA-256 of each known file, by its path below the data folder."""

_RAW = "https://raw.githubusercontent.com"
_KIM = (
    f"{_RAW}/youngseok-kim1/Evidence-for-the-utility-of-quantum-computing-before-fault-tolerance"
    "/fca036625a85ef551fec45646a59371feaa359e6/data"
)
_EXACT = f"{_RAW}/tbegusic/arxiv-2308.05077-data/1946e6f4a088b58522242721f9109f6f97a9a1b2"
_ISING = "ibm_kicked_ising_2023"
DOWNLOADS: Mapping[str, str] = MappingProxyType(
    {
        f"{_ISING}/fig2bc_experiment_unmit.txt": f"{_KIM}/fig2bc_experiment_unmit.txt",
        f"{_ISING}/fig2bc_paulis.txt": f"{_KIM}/fig2bc_paulis.txt",
        f"{_ISING}/exact_begusic_chan.csv": f"{_EXACT}/exact.csv",
    }
)
"""Where the files are published that need no repackaging, pinned to a commit."""


@dataclass(frozen=True)
class Dataset:
    """A collection of measurements.

    Attributes:
        name: Folder below the data folder.
        title: What was measured, on what, when.
        source: Where it was published.
        licence: Its terms.
    """

    name: str
    title: str
    source: str
    licence: str


_QWORK = ("https://github.com/SteveTipp/Qwork.github.io", "MIT")
_PAPERS = ("https://github.com/quantumjim/data4papers", "Apache-2.0")
_BRAKET = ("https://github.com/amazon-braket/amazon-braket-examples", "Apache-2.0")
DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        name: Dataset(name, *rest)
        for name, *rest in (
            (
                "ibm_same_day_2026",
                "ibm_fez, 2026-01-13: 66 qubits, 403 CZ, 8,192 shots, calibrated 19 minutes before",
                *_QWORK,
            ),
            (
                "ibm_ghz_2025",
                "ibm_marrakesh and ibm_fez, October 2025: GHZ states compiled in two ways",
                "https://github.com/iQore-Inc/execution-structure-conditioning",
                "CC0-1.0 (data), Apache-2.0 (circuits)",
            ),
            (
                "ibm_repetition_code_2022",
                "ibm_cairo, April 2022: six jobs of a repetition code with and without decoupling",
                *_PAPERS,
            ),
            (
                "ibm_matching_code_2021",
                "four IBM devices, September 2021: hexagonal matching code with mid-circuit reset",
                *_PAPERS,
            ),
            (
                "iqm_garnet_dynamic_2025",
                "IQM Garnet, 2025-08-14: fourteen tasks with feed-forward",
                *_BRAKET,
            ),
            (
                _ISING,
                "an IBM Eagle, 2023: 127-qubit kicked Ising at theta_h = 0, three noise gains",
                "https://github.com/youngseok-kim1/"
                "Evidence-for-the-utility-of-quantum-computing-before-fault-tolerance and "
                "https://github.com/tbegusic/arxiv-2308.05077-data",
                "CC BY-SA 4.0 (measurements), MIT (exact values)",
            ),
            (
                "ibm_calibration_series",
                "92 exports of four IBM devices' calibrations and 27 older properties files",
                f"{_QWORK[0]} and https://github.com/Qiskit/qiskit-ibm-runtime",
                "MIT and Apache-2.0",
            ),
            (
                "ibm_count_series_2021",
                "five-qubit IBM devices, February and March 2021: the same circuits for two weeks",
                "https://github.com/trianam/learningQuantumNoiseFingerprint",
                "CC BY 4.0",
            ),
            (
                "vendor_calibrations",
                "IQM, Rigetti and IonQ device files, Quantinuum parameters and benchmark counts",
                f"{_BRAKET[0]} and https://github.com/CQCL/quantinuum-hardware-specifications",
                "Apache-2.0",
            ),
        )
    }
)
