"""What one processor teaches about another of its kind: the shifts that all qubits share."""

from dataclasses import replace

import numpy as np

from qdt_emu.errors import InputError
from qdt_emu.learning.memory import Memory
from qdt_emu.learning.model import Model
from qdt_emu.learning.posterior import Posterior


def transfer(posterior: Posterior, model: Model) -> Posterior:
    """Return what is known about another device before anything was measured on it.

    The shift that all entries of a family share, and parameters of the whole device, are taken as
    learned; every other unknown keeps its prior. With them goes the scatter.

    Args:
        posterior: Of the first device.
        model: Of the other device, from `prior` with the same kinds of parameters.

    Raises:
        InputError: The two have no shared unknown in common.

    Error:
        The other device is taken to share these shifts exactly; devices differ, so bands are too
        narrow by that.
    """
    from_, to = _shared(posterior.model), _shared(model)
    kinds = [kind for kind in from_ if kind in to]
    if not kinds:
        raise InputError(
            f"'{posterior.model.device.name}' and '{model.device.name}' must have a shared unknown "
            f"in common (such as `crosstalk`), but have none. Learn the same kinds of parameters."
        )
    source, target = [from_[k] for k in kinds], [to[k] for k in kinds]
    z, fisher = np.zeros(model.size), np.zeros((model.size, model.size))
    z[target] = posterior.z[source]
    known = np.linalg.inv(posterior.covariance[np.ix_(source, source)]) - np.eye(len(kinds))
    fisher[np.ix_(target, target)] = known
    forgotten = replace(posterior, circuits=(), ambiguous=(), lean=None, memory=Memory())
    return replace(forgotten, model=model, z=z, fisher=fisher)


def _shared(model: Model) -> dict[str, int]:
    """Return the unknown of each kind that belongs to the whole device."""
    out = {}
    for family, part in zip(model.families, model.slices, strict=True):
        if family.shared:
            out[family.shift] = part.stop - 1
        elif family.labels == (family.leaf,):
            out[family.kind] = part.stop - 1
    return out
