"""Stage one: what was measured on a processor, checked, in SI units, with snapshots.

Reading order: `schema` (what a calibration holds, as data), `measured` (numbers with
standard error, flag and time), `ledger` (what became of every vendor field),
`calibration` (the value that later stages take), `storage` (NetCDF), `readers` (one
vendor format per file), `read` (from a name, a file or a backend to a `Calibration`).
"""

if __name__ != "qdt_emu.calibrations":
    raise ImportError(
        f"This folder is the package `qdt_emu.calibrations`, but it was imported as "
        f"`{__name__}`. Use `import qdt_emu.calibrations`."
    )

from qdt_emu.calibrations.calibration import Calibration as Calibration
from qdt_emu.calibrations.ledger import Ledger as Ledger
from qdt_emu.calibrations.read import bundled as bundled
from qdt_emu.calibrations.read import read_calibration as read_calibration
