"""The boundary of a sweep seen through the operators of the sites beyond it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qdt_emu.engines.network_boundary import Boundary
from qdt_emu.engines.network_rest import Operator, Rest
from qdt_emu.engines.network_state import Array
from qdt_emu.engines.network_sweep import Step


class Views:
    """What lies on either side of a bond of the boundary, in the metric of the unswept sites.

    A view is (shots, operator, bra, ket). Views stay as long as what they were made of does.
    """

    def __init__(self, shots: int) -> None:
        self.start = np.ones((shots, 1, 1, 1))
        self.ahead: list[tuple[Operator, Array, Array]] = []
        self.behind: list[tuple[Operator, Array, Array]] = []

    def chances(
        self,
        unswept: Rest,
        boundary: Boundary,
        step: Step,
        theta: Array,
        parts: list[Array],
    ) -> NDArray[np.float64]:
        """Return the squared norms of both branches of a step, shape (2, shots).

        Args:
            unswept: What stands for the rest after the step.
            boundary: Before the step, opened for it.
            step: The step.
            theta: Both branches, (2 shots, left, outer bonds, right).
            parts: The same as one tensor per outer bond.
        """
        line, first, row = boundary.line, step.first, unswept.row
        after = len(line) - first - len(step.inner)
        ahead = self._complete(self.ahead, row[:first], line[:first], back=False)
        behind = self._complete(
            self.behind, row[len(row) - after :][::-1], line[len(line) - after :][::-1], back=True
        )
        view = np.concatenate([ahead, ahead])
        if parts:
            for part, operator in zip(parts, row[first:], strict=False):
                view = _extended(view, part, operator, back=False)
        else:
            matrix = theta[:, None, :, 0]
            view = matrix.conj().swapaxes(2, 3) @ view @ matrix
        total = (view * np.concatenate([behind, behind])).sum(axis=(1, 2, 3))
        chances: NDArray[np.float64] = np.real(total).reshape(2, -1)
        return chances

    def _complete(
        self,
        known: list[tuple[Operator, Array, Array]],
        row: Sequence[Operator],
        line: Sequence[Array],
        *,
        back: bool,
    ) -> Array:
        """Return the view over some tensors of the boundary, from the outermost one on."""
        same = 0
        for (operator, part, _), new, tensor in zip(known, row, line, strict=False):
            if operator is not new or part is not tensor:
                break
            same += 1
        del known[same:]
        for operator, tensor in zip(row[same:], line[same:], strict=True):
            view = known[-1][2] if known else self.start
            part = tensor.transpose(0, 3, 2, 1) if back else tensor
            known.append((operator, tensor, _extended(view, part, operator, back=back)))
        return known[-1][2] if known else self.start


def _extended(view: Array, part: Array, operator: Operator, *, back: bool) -> Array:
    """Return a view with one more tensor of the boundary, (shots, before, bond, behind)."""
    shots, rank, bra, ket = view.shape
    bond, new = part.shape[2:]
    levels = operator.levels
    wide = view.reshape(shots, rank * bra, ket) @ part.reshape(shots, ket, bond * new)
    wide = wide.reshape(shots, rank, bra, bond, new)
    near = wide[:, :, :, :levels].transpose(0, 2, 4, 1, 3).reshape(-1, rank * levels)
    acted = near @ (operator.behind if back else operator.ahead)
    acted = acted.reshape(shots, bra, new, -1, levels).transpose(0, 1, 4, 3, 2)
    own = part.conj()
    close = own[:, :, :levels].reshape(shots, bra * levels, new).swapaxes(1, 2)
    out = (close @ acted.reshape(shots, bra * levels, -1)).reshape(shots, new, -1, new)
    out = out.swapaxes(1, 2)
    if operator.others is None:
        return out
    close = own[:, :, levels:].reshape(shots, 1, -1, new).swapaxes(2, 3)
    far = close @ wide[:, :, :, levels:].reshape(shots, rank, -1, new)
    others = operator.others if back else operator.others.T
    return out + (others @ far.reshape(shots, rank, -1)).reshape(out.shape)
