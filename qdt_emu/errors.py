"""The few errors this package raises on purpose."""


class QdtError(Exception):
    """Base of every error raised on purpose by qdt_emu."""


class CalibrationError(QdtError, ValueError):
    """A calibration is incomplete or unphysical; `faults` lists every reason."""

    def __init__(self, name: str, faults: tuple[str, ...]) -> None:
        self.name, self.faults = name, faults
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"Calibration '{name}' has {len(faults)} fault(s):\n{lines}")


class InputError(QdtError, ValueError):
    """An argument is out of its range; the message names the value and the fix."""


class UnsupportedError(QdtError):
    """Something was asked for that has no model or no engine here."""
