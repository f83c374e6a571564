"""How two ops differ: in widths, kernels, scales, or the order of branches."""

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
    """Returns the fewest differences that explain why two ops are not equal.

    The result is empty if the ops are equal, and if no list of differences explains
    them.

    >>> from inception_jax.networks import conv
    >>> likeness(conv(64, (1, 7)), conv(96, (7, 1)))
    'kernels transposed, other widths'
    """
    for count in range(len(_DIFFERENCES) + 1):
        for differences in combinations(_DIFFERENCES, count):
            if _without(differences, old) == _without(differences, new):
                if differences == (_ORDER,):
                    return SAME_BRANCHES
                return ', '.join(differences)
    return ''


def _without(differences: Sequence[str], op: Op) -> Op:
    """Returns `op` without the properties in which it may differ from another."""

    def remove(op: Op) -> Op:
        for difference in differences:
            op = _DIFFERENCES[difference](op)
        return op

    return map_ops(remove, op)


def _set_fields(kind: type, **values) -> Callable[[Op], Op]:
    def set_fields(op: Op) -> Op:
        return dataclasses.replace(op, **values) if isinstance(op, kind) else op

    return set_fields


def _remove_initial_values(op: Op) -> Op:
    if isinstance(op, Scale):
        return dataclasses.replace(op, initial=0.0)
    return dataclasses.replace(op, stddev=None) if isinstance(op, Conv) else op


def _sort_kernel_sides(op: Op) -> Op:
    if isinstance(op, Conv | Pool) and op.kernel is not None:
        return dataclasses.replace(op, kernel=tuple(sorted(op.kernel)))
    return op


def _sort_branches(op: Op) -> Op:
    if isinstance(op, Concat):
        return Concat(tuple(sorted(op.branches, key=notation)))
    return op


# Each function makes two ops equal that have no other difference.
_DIFFERENCES = {
    _ORDER: _sort_branches,
    'kernels transposed': _sort_kernel_sides,
    'another scale': _set_fields(Residual, scale=0.0),
    'other initial values': _remove_initial_values,
    'other widths': _set_fields(Conv, filters=1),
    'other kernels': _set_fields(Conv, kernel=(1, 1)),
}
