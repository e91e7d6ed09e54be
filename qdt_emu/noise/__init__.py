"""Stage 2: rates and times become channels."""

from qdt_emu.noise.depolarizing import anchor_scale as anchor_scale
from qdt_emu.noise.depolarizing import depolarizing_probabilities as depolarizing_probabilities
from qdt_emu.noise.depolarizing import residual_depolarizing as residual_depolarizing
from qdt_emu.noise.infidelity import average_gate_fidelity as average_gate_fidelity
from qdt_emu.noise.infidelity import average_infidelity as average_infidelity
from qdt_emu.noise.infidelity import depolarizing_infidelity as depolarizing_infidelity
from qdt_emu.noise.infidelity import depolarizing_parameter as depolarizing_parameter
from qdt_emu.noise.infidelity import process_fidelity as process_fidelity
from qdt_emu.noise.infidelity import process_infidelity as process_infidelity
from qdt_emu.noise.relaxation import decay_factors as decay_factors
from qdt_emu.noise.relaxation import identity_weight as identity_weight
from qdt_emu.noise.relaxation import relaxation_events as relaxation_events
from qdt_emu.noise.relaxation import relaxation_kraus as relaxation_kraus
from qdt_emu.noise.relaxation import relaxation_process_fidelity as relaxation_process_fidelity
from qdt_emu.noise.relaxation import relaxation_ptm as relaxation_ptm
from qdt_emu.noise.relaxation import relaxation_remainder_kraus as relaxation_remainder_kraus
from qdt_emu.noise.relaxation import thermal_population as thermal_population
from qdt_emu.noise.relaxation import thermal_relaxation as thermal_relaxation
