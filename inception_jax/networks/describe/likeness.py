"""What two ops that are not equal share: widths, kernels, scales, order of branches."""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import combinations

from inception_jax.networks.describe.notation import notation
from inception_jax.networks.ops import (
    Concat,
    Conv,
    Op,
    Pool,
    Residual,
    Scale,
    map_ops,
)

SAME_BRANCHES = 'the same branches in another order'
_ORDER = 'branches in another order'


def likeness(old: Op, new: Op) -> str:
    """Says which changes tell two ops apart, as few as possible: `other widths`.

    The answer is empty where they are equal, and where no list of changes will do.
    """
    for count in range(len(_CHANGES) + 1):
        for changes in combinations(_CHANGES, count):
            if _without(changes, old) == _without(changes, new):
                text = ', '.join(changes)
                return SAME_BRANCHES if text == _ORDER else text
    return ''


def _without(changes: Sequence[str], op: Op) -> Op:
    def forget(op: Op) -> Op:
        for change in changes:
            op = _CHANGES[change](op)
        return op

    return map_ops(forget, op)


def _forget(kind: type, **values) -> Callable[[Op], Op]:
    def forget(op: Op) -> Op:
        return dataclasses.replace(op, **values) if isinstance(op, kind) else op

    return forget


def _forget_start(op: Op) -> Op:
    if isinstance(op, Scale):
        return dataclasses.replace(op, initial=0.0)
    return dataclasses.replace(op, stddev=None) if isinstance(op, Conv) else op


def _lay_flat(op: Op) -> Op:
    if isinstance(op, Conv | Pool) and op.kernel is not None:
        return dataclasses.replace(op, kernel=tuple(sorted(op.kernel)))
    return op


def _sort(op: Op) -> Op:
    if isinstance(op, Concat):
        return Concat(tuple(sorted(op.branches, key=notation)))
    return op


# Each makes ops equal that differ in nothing else.
_CHANGES = {
    _ORDER: _sort,
    'kernels transposed': _lay_flat,
    'another scale': _forget(Residual, scale=0.0),
    'other initial values': _forget_start,
    'other widths': _forget(Conv, filters=1),
    'other kernels': _forget(Conv, kernel=(1, 1)),
}
