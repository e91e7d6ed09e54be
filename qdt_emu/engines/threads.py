"""How many threads an engine takes, and how they share its work."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, TypeVar

# Numba's linear algebra: a BLAS of its own, which can be limited only once it is loaded.
import scipy.linalg.cython_blas  # noqa: F401
from threadpoolctl import ThreadpoolController

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


def single_blas() -> AbstractContextManager[Any]:
    """Return a context in which linear algebra takes one thread, so that ours do not wait for it.

    Cost:
        10 us, after 2 ms to look for the libraries once.
    """
    context: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return context


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
