"""The difference of two networks: properties, stages, branches and totals."""

import dataclasses
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

from inception_jax.networks.describe.likeness import SAME_BRANCHES, likeness
from inception_jax.networks.describe.notation import notation, span, wrapped
from inception_jax.networks.describe.table import (
    aligned,
    distinct,
    millions,
    params,
    scale_text,
    scales_of,
    summary,
)
from inception_jax.networks.network import Network, check_network
from inception_jax.networks.ops import Chain, Concat, Op, Residual, shape_text
from inception_jax.networks.shapes import Measured, measure

_WIDTH = 100

Pair = tuple[list[Measured], list[Measured]]


class Difference(str):
    """The text that `diff` returns; a notebook and the prompt show it line by line."""

    __slots__ = ()
    __repr__ = str.__str__


def diff(first: Network, second: Network) -> Difference:
    """Describes how `second` differs from `first`; `-` is the first, `+` the second.

    Raises:
      ValueError: the input is too small for a network, or its parts do not fit
        together.

    >>> from inception_jax.networks import conv, network, one
    >>> narrow, wide = (network('net', one('stem', conv(n, 3))) for n in (8, 16))
    >>> for line in diff(narrow, wide).splitlines()[7:10]:
    ...     print(line)
    stem: other widths
      - 3x3/8
      + 3x3/16
    """
    for network in (first, second):
        check_network(network)
    if dataclasses.replace(first, name=second.name) == second:
        return Difference(f'{first.name} and {second.name} are equal')
    pairs = _pairs(_by_stage(first), _by_stage(second))
    parts = [
        [f'- {first.name}', f'+ {second.name}'],
        _properties(first, second),
        _stages(first, second, pairs),
        *map(_pair_lines, pairs),
        _totals(summary(first), summary(second)),
    ]
    return Difference('\n\n'.join('\n'.join(lines) for lines in parts if lines))


def _by_stage(network: Network) -> dict[str, list[Measured]]:
    stages = {}
    for block in measure(network):
        stages.setdefault(block.stage, []).append(block)
    return stages


def _pairs(left: dict, right: dict) -> list[Pair]:
    """Pairs the stages by name; a stage of one side stands between its neighbours."""
    old, new = list(left), list(right)
    merged = [
        name for _, i, j, k, n in _opcodes(old, new) for name in (*old[i:j], *new[k:n])
    ]
    return [(left.get(name, []), right.get(name, [])) for name in dict.fromkeys(merged)]


def _opcodes(old: Sequence, new: Sequence):
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def _properties(first: Network, second: Network) -> list[str]:
    rows = []
    for name in (field.name for field in dataclasses.fields(Network)):
        values = _property(first, name), _property(second, name)
        if name not in ('name', 'stages') and values[0] != values[1]:
            rows.append((name, *values))
    orders = _shared_stages(first, second), _shared_stages(second, first)
    if orders[0] != orders[1]:
        rows.append(('order', *orders))
    return aligned([('property', '-', '+'), *rows], left=3) if rows else []


def _property(network: Network, name: str) -> str:
    value = getattr(network, name)
    if name == 'auxiliary':
        return f'after {value.after}' if value else 'none'
    return str(value)


def _shared_stages(network: Network, other: Network) -> str:
    names = [stage.name for stage in other.stages]
    return ' '.join(stage.name for stage in network.stages if stage.name in names)


def _stages(first: Network, second: Network, pairs: Sequence[Pair]) -> list[str]:
    rows = [('stage', '- blocks', 'scale', 'params', '+ blocks', 'scale', 'params')]
    relations = ['']
    for old, new in pairs:
        stage = (old or new)[0].stage
        rows.append((stage, *_stage_cells(first, old), *_stage_cells(second, new)))
        relations.append(_stage_relation(old, new))
    lines = aligned(rows, left=1)
    width = max(map(len, lines)) + 2
    both = zip(lines, relations, strict=True)
    return [(line.ljust(width) + relation).rstrip() for line, relation in both]


def _stage_cells(network: Network, blocks: Sequence[Measured]) -> tuple[str, ...]:
    if not blocks:
        return ('', '', '')
    return (
        f'{len(blocks)} x {shape_text(blocks[-1].output)}',
        scale_text([scale for block in blocks for scale in scales_of(block)]),
        f'{sum(params(network, block) for block in blocks):,}',
    )


def _stage_relation(old: Sequence[Measured], new: Sequence[Measured]) -> str:
    if not old or not new:
        return 'only in -' if old else 'only in +'
    if _ops(old) != _ops(new):
        return 'other order' if _reordered(_ops(old), _ops(new)) else 'other block'
    if [(b.name, b.op, b.input) for b in old] == [(b.name, b.op, b.input) for b in new]:
        return 'equal'
    return 'same block'


def _reordered(old: Sequence[Op], new: Sequence[Op]) -> bool:
    relations = [likeness(*pair) for pair in zip(old, new, strict=False)]
    return len(old) == len(new) and set(relations) == {SAME_BRANCHES}


def _ops(blocks: Sequence[Measured]) -> list[Op]:
    return [group[0].op for group in distinct(blocks)]


def _pair_lines(pair: Pair) -> list[str]:
    if _ops(pair[0]) == _ops(pair[1]):
        return []
    lines = []
    for old, new in zip_longest(*map(distinct, pair)):
        if old and new:
            lines += _block_lines(old, new)
        else:
            lines.append(f'{_name(old or new)}: only in {"-" if old else "+"}')
            lines += _marked('-', old[0].op) if old else _marked('+', new[0].op)
    return lines


def _block_lines(old: Sequence[Measured], new: Sequence[Measured]) -> list[str]:
    if old[0].op == new[0].op:
        return []
    names = dict.fromkeys([_name(old), _name(new)])
    title = _with_likeness(' against '.join(names), old[0].op, new[0].op)
    return [title, *_op_lines(old[0].op, new[0].op)]


def _name(blocks: Sequence[Measured]) -> str:
    return span([block.name for block in blocks])


def _with_likeness(name: str, old: Op, new: Op) -> str:
    return ': '.join(filter(None, [name, likeness(old, new)]))


def _marked(sign: str, op: Op) -> list[str]:
    first, *others = wrapped(notation(op), _WIDTH - 4)
    return [f'  {sign} {first}', *(f'    {line}' for line in others)]


def _op_lines(old: Op, new: Op) -> list[str]:
    match old, new:
        case Residual(), Residual():
            return _residual_lines(old, new)
        case Chain(), Chain():
            return _chain_lines(old.ops, new.ops)
        case Concat(), Concat():
            return _concat_lines(old.branches, new.branches)
    return [*_marked('-', old), *_marked('+', new)]


def _residual_lines(old: Residual, new: Residual) -> list[str]:
    lines = []
    for name in ('scale', 'relu'):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            lines += [f'  - {name} {before}', f'  + {name} {after}']
    if old.branch != new.branch:
        lines += _op_lines(old.branch, new.branch)
    return lines


def _chain_lines(old: Sequence[Op], new: Sequence[Op]) -> list[str]:
    lines = []
    for tag, i, j, k, n in _opcodes(old, new):
        if tag == 'equal':
            lines += _marked(' ', Chain(old[i:j]))
        elif j - i == n - k == 1:
            lines += _op_lines(old[i], new[k])
        else:
            lines += _marked('-', Chain(old[i:j])) if i < j else []
            lines += _marked('+', Chain(new[k:n])) if k < n else []
    return lines


def _concat_lines(old: Sequence[Op], new: Sequence[Op]) -> list[str]:
    partners = _partners(old, new)
    places = [partners[i] for i in sorted(partners)]
    lines = []
    if places != sorted(places):
        lines.append(
            f'  branches {_one_based(sorted(partners))} are now {_one_based(places)}'
        )
    for i, branch in enumerate(old):
        partner = new[partners[i]] if i in partners else None
        lines += _branch_lines(i, branch, partner)
    for k in sorted(set(range(len(new))) - set(places)):
        lines += [f'  branch {k + 1} of +', *_marked('+', new[k])]
    return lines


def _one_based(places: Sequence[int]) -> str:
    return ' '.join(str(place + 1) for place in places)


def _branch_lines(i: int, old: Op, new: Op | None) -> list[str]:
    if new is None:
        return [f'  branch {i + 1} of -', *_marked('-', old)]
    if old == new:
        return []
    title = _with_likeness(f'  branch {i + 1}', old, new)
    return [title, *_marked('-', old), *_marked('+', new)]


def _partners(old: Sequence[Op], new: Sequence[Op]) -> dict[int, int]:
    """Maps places in `old` to places in `new`: first equal branches, then like ones."""
    partners, free = {}, list(range(len(new)))
    for are_partners in (lambda a, b: a == b, likeness):
        for i in sorted(set(range(len(old))) - set(partners)):
            place = next((k for k in free if are_partners(old[i], new[k])), None)
            if place is not None:
                partners[i] = place
                free.remove(place)
    return partners


def _totals(first: dict, second: dict) -> list[str]:
    rows = [('total', '-', '+'), *_total_rows(first, second)]
    without = [side['without_auxiliary'] for side in (first, second)]
    if any(
        first[key] != without[0][key] or second[key] != without[1][key]
        for key in _TOTALS
    ):
        rows += [('without auxiliary head', '', ''), *_total_rows(*without)]
    return aligned(rows, left=1)


def _total_rows(*sides: dict) -> list[tuple[str, ...]]:
    return [
        (name, *map(write, (side[key] for side in sides)))
        for key, (name, write) in _TOTALS.items()
    ]


def _grouped(number: int) -> str:
    return f'{number:,}'


_TOTALS = {
    'params': ('  params', _grouped),
    'params_with_gamma': ('  params with gamma', _grouped),
    'macs': ('  M multiply-adds', millions),
    'layers': ('  conv+dense layers', _grouped),
}
