"""A bar for what takes more than two seconds, for somebody who watches."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

Item = TypeVar("Item")
PATIENCE = 2.0  # s without a bar


def watched(items: Sequence[Item], label: str) -> Iterator[Item]:
    """Yield the items, with a bar on stderr or in the notebook once two seconds have passed."""
    begin, bar = time.monotonic(), None
    seen = sys.stderr.isatty() or "ipykernel" in sys.modules
    try:
        for done, item in enumerate(items):
            if seen and bar is None and done and time.monotonic() - begin > PATIENCE:
                bar = Progress(transient=True, console=Console(stderr=True))
                bar.start()
                task = bar.add_task(label, total=len(items))
            if bar is not None:
                bar.update(task, completed=done)
            yield item
    finally:
        if bar is not None:
            bar.stop()
