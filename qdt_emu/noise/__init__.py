"""Stage 2: rates and times become channels.

Plain functions of arrays: NumPy in, NumPy out, at microseconds; JAX in, JAX out, to jit, batch
and differentiate. They broadcast over leading axes, take SI units, assume checked input, and say
in `Error:` how wrong they are. One-qubit channels are 4x4 Pauli transfer matrices R[i, j] =
Tr(P_i E(P_j)) / d in the order I, X, Y, Z; of two qubits the first is the most significant.

    relaxation     T1, T2 and temperature: PTM, Kraus operators, events for trajectories
    infidelity     what calibration files call "error": r, e_P, p, per Clifford, per cycle
    depolarizing   the rest of a gate's error, or the shorter relaxation that explains it
    coherent       over-rotations, ZZ, spectators, excitation-conserving gates
    dephasing      what is constant or slow within a shot: closed forms and draws
    fluctuation    T1 from job to job: log-normal, telegraph, defects, bursts
    readout        confusion, preparation divided out, instruments, reset
    leakage        a classical flag per qubit
    flips          flips of a qubit next to a gate
    pauli_lindblad sparse Pauli-Lindblad models of a layer
    channels       PTM, Kraus, Choi, chi, superoperator; twirl, complete positivity
    during_gate    noise during a gate as a channel after it (import it by name: needs SciPy)
"""

from qdt_emu.noise.channels import assert_cptp as assert_cptp
from qdt_emu.noise.channels import channel_process_fidelity as channel_process_fidelity
from qdt_emu.noise.channels import compose as compose
from qdt_emu.noise.channels import cptp_defects as cptp_defects
from qdt_emu.noise.channels import is_cptp as is_cptp
from qdt_emu.noise.channels import kraus_ptm as kraus_ptm
from qdt_emu.noise.channels import pauli_ptm as pauli_ptm
from qdt_emu.noise.channels import pauli_twirl as pauli_twirl
from qdt_emu.noise.channels import ptm_kraus as ptm_kraus
from qdt_emu.noise.channels import swap_qubits as swap_qubits
from qdt_emu.noise.channels import tensor as tensor
from qdt_emu.noise.channels import unitarity as unitarity
from qdt_emu.noise.channels import unitary_ptm as unitary_ptm
from qdt_emu.noise.coherent import coherent_angle as coherent_angle
from qdt_emu.noise.coherent import pauli_rotation as pauli_rotation
from qdt_emu.noise.coherent import phased_fsim as phased_fsim
from qdt_emu.noise.coherent import spectator_angle as spectator_angle
from qdt_emu.noise.coherent import zz_process_fidelity as zz_process_fidelity
from qdt_emu.noise.coherent import zz_unitary as zz_unitary
from qdt_emu.noise.dephasing import draw_detuning as draw_detuning
from qdt_emu.noise.dephasing import pure_dephasing_rate as pure_dephasing_rate
from qdt_emu.noise.dephasing import quasi_static_spread as quasi_static_spread
from qdt_emu.noise.depolarizing import anchor_scale as anchor_scale
from qdt_emu.noise.depolarizing import depolarizing_probabilities as depolarizing_probabilities
from qdt_emu.noise.depolarizing import residual_depolarizing as residual_depolarizing
from qdt_emu.noise.flips import flip_probabilities as flip_probabilities
from qdt_emu.noise.fluctuation import drawn_t1 as drawn_t1
from qdt_emu.noise.fluctuation import shifted_t2 as shifted_t2
from qdt_emu.noise.infidelity import average_gate_fidelity as average_gate_fidelity
from qdt_emu.noise.infidelity import average_infidelity as average_infidelity
from qdt_emu.noise.infidelity import depolarizing_infidelity as depolarizing_infidelity
from qdt_emu.noise.infidelity import depolarizing_parameter as depolarizing_parameter
from qdt_emu.noise.infidelity import gate_infidelity_of_cycle as gate_infidelity_of_cycle
from qdt_emu.noise.infidelity import process_fidelity as process_fidelity
from qdt_emu.noise.infidelity import process_infidelity as process_infidelity
from qdt_emu.noise.leakage import leaked_fraction as leaked_fraction
from qdt_emu.noise.leakage import leaked_path as leaked_path
from qdt_emu.noise.pauli_lindblad import PauliLindblad as PauliLindblad
from qdt_emu.noise.pauli_lindblad import read_terms as read_terms
from qdt_emu.noise.readout import before_projection as before_projection
from qdt_emu.noise.readout import confusion_matrix as confusion_matrix
from qdt_emu.noise.readout import divide_out_preparation as divide_out_preparation
from qdt_emu.noise.readout import heisenberg_z as heisenberg_z
from qdt_emu.noise.readout import measurement_instrument as measurement_instrument
from qdt_emu.noise.readout import measurement_joint as measurement_joint
from qdt_emu.noise.readout import pair_confusion as pair_confusion
from qdt_emu.noise.readout import reset_ptm as reset_ptm
from qdt_emu.noise.readout import split_decay as split_decay
from qdt_emu.noise.relaxation import decay_factors as decay_factors
from qdt_emu.noise.relaxation import identity_weight as identity_weight
from qdt_emu.noise.relaxation import relaxation_events as relaxation_events
from qdt_emu.noise.relaxation import relaxation_kraus as relaxation_kraus
from qdt_emu.noise.relaxation import relaxation_process_fidelity as relaxation_process_fidelity
from qdt_emu.noise.relaxation import relaxation_ptm as relaxation_ptm
from qdt_emu.noise.relaxation import relaxation_remainder_kraus as relaxation_remainder_kraus
from qdt_emu.noise.relaxation import thermal_population as thermal_population
from qdt_emu.noise.relaxation import thermal_relaxation as thermal_relaxation
