"""Vendor formats, one per file; each reader returns a `Calibration` with its ledger."""
