"""Numba noise kernels: plain arrays in, plain arrays out.

A leaf: it imports NumPy and Numba and nothing of qdt_emu. Kernels check nothing and take
their random numbers as an argument, so a result does not depend on the number of threads.
Import the kernels from their modules: a run compiles only what it uses.
"""

if __name__ != "qdt_emu.kernels":
    raise ImportError(
        f"This folder is the package `qdt_emu.kernels`, but it was imported as "
        f"`{__name__}`. Use `import qdt_emu.kernels`."
    )
