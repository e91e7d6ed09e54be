"""Stage five, first half: what a run returns, with its budget, its report and its origin.

Nothing here knows about gates: programs have outcomes, and outcomes have strings.
"""

from qdt_emu.result.budget import Budget as Budget
from qdt_emu.result.counts import Counts as Counts
from qdt_emu.result.estimate import Estimate as Estimate
from qdt_emu.result.provenance import Provenance as Provenance
from qdt_emu.result.provenance import versions as versions
from qdt_emu.result.report import Alternative as Alternative
from qdt_emu.result.report import Report as Report
