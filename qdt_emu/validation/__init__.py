"""Stage six: a prediction against a measurement, and what the agreement is worth."""

from qdt_emu.validation.comparison import compare as compare
from qdt_emu.validation.distances import classical_fidelity as classical_fidelity
from qdt_emu.validation.distances import g_test as g_test
from qdt_emu.validation.distances import hellinger_distance as hellinger_distance
from qdt_emu.validation.distances import total_variation as total_variation
from qdt_emu.validation.distances import z_scores as z_scores
from qdt_emu.validation.verdict import Skill as Skill
from qdt_emu.validation.verdict import Verdict as Verdict
