"""How many threads an engine takes, and how they share its work."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from qdt_emu.errors import InputError

Job = TypeVar("Job")
Done = TypeVar("Done")


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads below one.

    Raises:
        InputError: It is neither None nor at least 1.
    """
    if threads is not None and threads < 1:
        raise InputError(f"`threads` must be at least 1 or None, but is {threads!r}.")


def workers(threads: int | None, tasks: int | None = None) -> int:
    """Return the number of threads: those asked for or one per core, no more than tasks."""
    most = threads or os.cpu_count() or 1
    return most if tasks is None else max(1, min(most, tasks))


def each(work: Callable[[Job], Done], jobs: Iterable[Job], threads: int) -> list[Done]:
    """Return what `work` makes of every job, in order, on so many threads."""
    if threads == 1:
        return [work(job) for job in jobs]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, jobs))
