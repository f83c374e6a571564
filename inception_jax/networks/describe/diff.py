"""The difference of two networks for people: properties, stages, branches, totals."""

import dataclasses
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

from inception_jax.networks.describe.likeness import SAME_BRANCHES, likeness
from inception_jax.networks.describe.notation import notation, span, times, wrapped
from inception_jax.networks.describe.table import (
    aligned,
    distinct,
    millions,
    params,
    scale_text,
    scales_of,
    summary,
)
from inception_jax.networks.network import Network
from inception_jax.networks.ops import Chain, Concat, Op, Residual
from inception_jax.networks.shapes import Measured, measure

_WIDTH = 100

Pair = tuple[list[Measured], list[Measured]]


def diff(first: Network, second: Network) -> str:
    """Describes how `second` differs from `first`; `-` is the first, `+` the second."""
    if dataclasses.replace(first, name=second.name) == second:
        return f'{first.name} and {second.name} are equal'
    pairs = _pairs(_by_stage(first), _by_stage(second))
    parts = [
        [f'- {first.name}', f'+ {second.name}'],
        _properties(first, second),
        _stages(first, second, pairs),
        *map(_blocks, pairs),
        _totals(summary(first), summary(second)),
    ]
    return '\n\n'.join('\n'.join(lines) for lines in parts if lines)


def _by_stage(network: Network) -> dict[str, list[Measured]]:
    stages = {}
    for block in measure(network):
        stages.setdefault(block.stage, []).append(block)
    return stages


def _pairs(left: dict, right: dict) -> list[Pair]:
    """Pairs the stages by name, those of one side between their neighbours."""
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
    if _common(first, second) != _common(second, first):
        rows.append(('order', _common(first, second), _common(second, first)))
    return aligned([('property', '-', '+'), *rows], left=3) if rows else []


def _property(network: Network, name: str) -> str:
    value = getattr(network, name)
    if name == 'auxiliary':
        return f'after {value.after}' if value else 'none'
    return str(value)


def _common(network: Network, other: Network) -> str:
    names = [stage.name for stage in other.stages]
    return ' '.join(stage.name for stage in network.stages if stage.name in names)


def _stages(first: Network, second: Network, pairs: Sequence[Pair]) -> list[str]:
    rows = [('stage', '- blocks', 'scale', 'params', '+ blocks', 'scale', 'params')]
    verdicts = ['']
    for old, new in pairs:
        stage = (old or new)[0].stage
        rows.append((stage, *_cells(first, old), *_cells(second, new)))
        verdicts.append(_verdict(old, new))
    lines = aligned(rows, left=1)
    width = max(map(len, lines)) + 2
    both = zip(lines, verdicts, strict=True)
    return [(line.ljust(width) + verdict).rstrip() for line, verdict in both]


def _cells(network: Network, blocks: Sequence[Measured]) -> tuple[str, ...]:
    if not blocks:
        return ('', '', '')
    return (
        f'{len(blocks)} x {times(blocks[-1].output)}',
        scale_text([scale for block in blocks for scale in scales_of(block)]),
        f'{sum(params(network, block) for block in blocks):,}',
    )


def _verdict(old: Sequence[Measured], new: Sequence[Measured]) -> str:
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
    return list(dict.fromkeys(block.op for block in blocks))


def _blocks(pair: Pair) -> list[str]:
    if _ops(pair[0]) == _ops(pair[1]):
        return []
    lines = []
    for old, new in zip_longest(*map(distinct, pair)):
        if old and new:
            lines += _block(old, new)
        else:
            lines.append(f'{_name(old or new)}: only in {"-" if old else "+"}')
            lines += _marked('-', old[0].op) if old else _marked('+', new[0].op)
    return lines


def _block(old: Sequence[Measured], new: Sequence[Measured]) -> list[str]:
    if old[0].op == new[0].op:
        return []
    names = dict.fromkeys([_name(old), _name(new)])
    head = _explained(' against '.join(names), old[0].op, new[0].op)
    return [head, *_ops_lines(old[0].op, new[0].op)]


def _name(blocks: Sequence[Measured]) -> str:
    return span([block.name for block in blocks])


def _explained(name: str, old: Op, new: Op) -> str:
    return ': '.join(filter(None, [name, likeness(old, new)]))


def _marked(sign: str, op: Op) -> list[str]:
    first, *others = wrapped(notation(op), _WIDTH - 4)
    return [f'  {sign} {first}', *(f'    {line}' for line in others)]


def _ops_lines(old: Op, new: Op) -> list[str]:
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
        lines += _ops_lines(old.branch, new.branch)
    return lines


def _chain_lines(old: Sequence[Op], new: Sequence[Op]) -> list[str]:
    lines = []
    for tag, i, j, k, n in _opcodes(old, new):
        if tag == 'equal':
            lines += _marked(' ', Chain(old[i:j]))
        elif j - i == n - k == 1:
            lines += _ops_lines(old[i], new[k])
        else:
            lines += _marked('-', Chain(old[i:j])) if i < j else []
            lines += _marked('+', Chain(new[k:n])) if k < n else []
    return lines


def _concat_lines(old: Sequence[Op], new: Sequence[Op]) -> list[str]:
    partners = _partners(old, new)
    places = [partners[i] for i in sorted(partners)]
    lines = []
    if places != sorted(places):
        lines.append(f'  branches {_count(sorted(partners))} are now {_count(places)}')
    for i, branch in enumerate(old):
        lines += _branch(i, branch, new[partners[i]] if i in partners else None)
    for k in sorted(set(range(len(new))) - set(places)):
        lines += [f'  branch {k + 1} of +', *_marked('+', new[k])]
    return lines


def _count(places: Sequence[int]) -> str:
    return ' '.join(str(place + 1) for place in places)


def _branch(i: int, old: Op, new: Op | None) -> list[str]:
    if new is None:
        return [f'  branch {i + 1} of -', *_marked('-', old)]
    if old == new:
        return []
    head = _explained(f'  branch {i + 1}', old, new)
    return [head, *_marked('-', old), *_marked('+', new)]


def _partners(old: Sequence[Op], new: Sequence[Op]) -> dict[int, int]:
    """Maps branches to equal ones and, of the others, to those that are related."""
    partners, free = {}, list(range(len(new)))
    for akin in (lambda a, b: a == b, likeness):
        for i in sorted(set(range(len(old))) - set(partners)):
            found = next((k for k in free if akin(old[i], new[k])), None)
            if found is not None:
                partners[i] = found
                free.remove(found)
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
