"""Stage three: a calibration becomes a device with learnable parameters."""

from qdt_emu.device.build import Policy as Policy
from qdt_emu.device.build import build as build
from qdt_emu.device.device import Device as Device
from qdt_emu.device.device import Instruction as Instruction
from qdt_emu.device.device import Note as Note
from qdt_emu.device.ideal import ideal as ideal
from qdt_emu.device.parameters import Parameters as Parameters
from qdt_emu.device.what_if import what_if as what_if
