"""Experiments on the twin, as in the laboratory: circuits, counts, fits, one Dataset each.

    from qdt_emu import Twin, experiments
    data = experiments.t1(Twin.load("ibm_sherbrooke"), [0, 2, 4], seed=1)

Each file has `circuits(device, ...)`, a `Program` to run on a twin (`measure`) or on hardware
(`from_counts`), `analyse(table)`, and both in one under the name of the experiment.
"""

from qdt_emu.experiments.assignment import midcircuit_readout as midcircuit_readout
from qdt_emu.experiments.assignment import readout as readout
from qdt_emu.experiments.benchmarking import rb as rb
from qdt_emu.experiments.coupling import zz as zz
from qdt_emu.experiments.design import best_circuits as best_circuits
from qdt_emu.experiments.echo import t2 as t2
from qdt_emu.experiments.eigenvalues import aces as aces
from qdt_emu.experiments.layers import layer_fidelity as layer_fidelity
from qdt_emu.experiments.pictures import plot as plot
from qdt_emu.experiments.precession import ramsey as ramsey
from qdt_emu.experiments.program import Program as Program
from qdt_emu.experiments.program import from_counts as from_counts
from qdt_emu.experiments.program import measure as measure
from qdt_emu.experiments.relaxation import t1 as t1
from qdt_emu.experiments.storage import load as load
from qdt_emu.experiments.storage import save as save
