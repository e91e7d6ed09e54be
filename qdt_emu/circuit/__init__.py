"""Stage four: circuits become noisy circuits."""

from qdt_emu.circuit.compile import Compiled as Compiled
from qdt_emu.circuit.compile import Options as Options
from qdt_emu.circuit.compile import compile_circuit as compile_circuit
from qdt_emu.circuit.noisy import Condition as Condition
from qdt_emu.circuit.noisy import Kind as Kind
from qdt_emu.circuit.noisy import NoisyCircuit as NoisyCircuit
from qdt_emu.circuit.noisy import Operation as Operation
from qdt_emu.circuit.noisy import Structure as Structure
from qdt_emu.circuit.noisy import Values as Values
from qdt_emu.circuit.read import read_circuit as read_circuit
