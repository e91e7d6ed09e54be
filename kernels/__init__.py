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

from contextlib import suppress as _suppress
from pathlib import Path as _Path


def _drop_stale_caches(folder: _Path) -> None:
    """Delete compiled kernels when any source of this folder has changed.

    Numba looks only at the file of the cached function, but kernels call kernels of other files:
    without this, an edit or a pull of one file leaves wrong machine code behind in another's cache.
    """
    stamp = folder / "__pycache__" / "kernels.stamp"
    sources = ((p.name, p.stat()) for p in sorted(folder.glob("*.py")))
    seen = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in sources])
    with _suppress(OSError):  # a folder that cannot be written has no cache of its own
        if stamp.exists() and stamp.read_text() == seen:
            return
        for cached in stamp.parent.glob("*.nb[ci]"):
            cached.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(seen)


_drop_stale_caches(_Path(__file__).parent)
