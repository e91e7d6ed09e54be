"""Stage six: a prediction against a measurement, and what the agreement is worth."""

from qdt_emu.validation.change import Change as Change
from qdt_emu.validation.comparison import compare as compare
from qdt_emu.validation.coverage import Coverage as Coverage
from qdt_emu.validation.coverage import coverage_of_draws as coverage_of_draws
from qdt_emu.validation.coverage import coverage_of_normal as coverage_of_normal
from qdt_emu.validation.distances import classical_fidelity as classical_fidelity
from qdt_emu.validation.distances import g_test as g_test
from qdt_emu.validation.distances import hellinger_distance as hellinger_distance
from qdt_emu.validation.distances import total_variation as total_variation
from qdt_emu.validation.distances import z_scores as z_scores
from qdt_emu.validation.frozen import freeze as freeze
from qdt_emu.validation.frozen import thaw as thaw
from qdt_emu.validation.repeatability import overdispersion as overdispersion
from qdt_emu.validation.significance import survey as survey
from qdt_emu.validation.value import Value as Value
from qdt_emu.validation.verdict import Skill as Skill
from qdt_emu.validation.verdict import Verdict as Verdict
from qdt_emu.validation.xeb import linear_xeb as linear_xeb
from qdt_emu.validation.xeb import log_xeb as log_xeb
