"""A network drawn in the manner of the paper's figures, as SVG."""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from inception_jax.networks.describe.notation import callable_name, short, span, times
from inception_jax.networks.describe.table import distinct, millions, summary
from inception_jax.networks.figures.layout import (
    Part,
    aside,
    box,
    dot,
    joined,
    labelled,
    side_by_side,
    stacked,
    summed,
)
from inception_jax.networks.figures.page import Page, Panel, page
from inception_jax.networks.figures.svg import svg
from inception_jax.networks.network import Network
from inception_jax.networks.ops import (
    Chain,
    Concat,
    Conv,
    Dense,
    Dropout,
    Norm,
    Op,
    Pool,
    Relu,
    Residual,
    Scale,
    Shape,
    interpret,
    residuals,
)
from inception_jax.networks.shapes import Measured, measure, output_shape, window


def draw(network: Network, block: str | None = None) -> str:
    """Draws a network, or only the block or the stage of that name, as SVG.

    A network is a column of its stages, as in Figs. 9 and 15, beside a panel for every
    block that differs from the others of its stage.

    Raises:
      ValueError: there is no such block or stage.
    """
    name = network.name if block is None else f'{network.name}: {block}'
    return svg(sheet(network, block), name)


def sheet(network: Network, block: str | None = None) -> Page:
    """Returns the shapes that `draw` writes, in their places."""
    measured = measure(network)
    if block is not None:
        return page(_panels(measured, _found(network, measured, block)))
    trunk = measured[: -2 if network.auxiliary else -1]
    return page([_overview(network, measured), *_panels(measured, trunk)])


def _found(network, measured: Sequence[Measured], name: str) -> list[Measured]:
    found = [block for block in measured if name in (block.name, block.stage)]
    if found:
        return found
    stages = [list(blocks) for _, blocks in itertools.groupby(measured, _stage)]
    known = [span([block.name for block in blocks]) for blocks in stages]
    raise ValueError(
        f'{network.name} has no block or stage {name!r}; it has {", ".join(known)}'
    )


def _stage(block: Measured) -> str:
    return block.stage


# Blocks.


class _Column(NamedTuple):
    """A shape and the parts that made it from the input on, each with its shape."""

    shape: Shape
    parts: tuple[tuple[Shape, Part], ...] = ()

    def topped(self, shape: Shape, *parts: Part) -> '_Column':
        return _Column(shape, (*self.parts, *((shape, part) for part in parts)))


class _Figures:
    """The reading: its values are columns, equal up to the fork that branches share."""

    def width(self, x: _Column) -> int:
        return x.shape[2]

    def leaf(self, name: str, op: Op, x: _Column) -> _Column:
        shape = output_shape(op, x.shape)
        # The pool over the whole grid does nothing to a grid of one pixel.
        idle = isinstance(op, Pool) and op.kernel is None and shape == x.shape
        return x.topped(shape, *([] if idle else [_leaf(op, x.shape)]))

    def concat(self, xs: list[_Column]) -> _Column:
        if len(xs) == 1:
            return xs[0]
        shape = (*xs[0].shape[:2], sum(x.shape[2] for x in xs))
        shared = _shared([x.parts for x in xs])
        branches = [_stack(x.parts[shared:]) for x in xs]
        return _Column(shape, xs[0].parts[:shared]).topped(
            shape, side_by_side(branches)
        )

    def add(self, op: Residual, x: _Column, branch: _Column) -> _Column:
        inside = _stack(branch.parts[len(x.parts) :])
        return x.topped(x.shape, summed(inside, f'x {short(op.scale)}', op.relu))


def _shared(columns: Sequence[Sequence]) -> int:
    rows = zip(*columns, strict=False)
    same = [all(part is row[0] for part in row) for row in rows]
    return [*same, False].index(False)


def _stack(parts) -> Part:
    return stacked([part for _, part in parts])


def _leaf(op: Op, shape: Shape) -> Part:
    kernel = times(window(op, shape) or ())
    match op:
        case Conv():
            linear = ' Linear' if op.linear else ''
            text = f'({op.filters}{linear}{_steps(op)})'
            return box('linear' if op.linear else 'conv', f'{kernel} Conv', text)
        case Pool(kind='avg', kernel=None):
            return box('pool', 'Average pooling')
        case Pool('avg', (3, 3), 1, 'SAME'):
            return box('pool', 'Avg Pooling')
        case Pool():
            kind = {'max': 'MaxPool', 'avg': 'AvgPool'}.get(op.kind, op.kind)
            steps = _steps(op).strip()
            return box('pool', f'{kind} {kernel}', *([f'({steps})'] if steps else []))
        case Norm():
            relu = [box('relu', 'Relu activation')] if op.relu else []
            return stacked([box('norm', 'Batch norm'), *relu])
        case Relu():
            return box('relu', 'Relu activation')
        case Scale():
            each = ' per channel' if op.per_channel else ''
            return box('scale', 'Learned scale', f'(from {short(op.initial)}{each})')
        case Dropout():
            return box('dropout', 'Dropout', f'(keep {round(1 - op.rate, 6):g})')
        case Dense():
            return box('dense', 'Dense', f'({op.units})')
    return box('module', callable_name(op.make))


def _steps(op: Conv | Pool) -> str:
    stride = f' stride {op.stride}' if op.stride != 1 else ''
    return stride + (' V' if op.padding == 'VALID' else '')


def _panels(measured: Sequence[Measured], chosen: Sequence[Measured]) -> list[Panel]:
    return [_panel(measured, blocks) for blocks in distinct(chosen)]


def _panel(measured: Sequence[Measured], blocks: Sequence[Measured]) -> Panel:
    first = blocks[0]
    parts = _parts(first)
    if isinstance(first.op, Chain) and len(parts) > 1:
        column = labelled([(times(shape), part) for shape, part in parts])
    else:
        column = [part for _, part in parts]
    part = joined(stacked([_source(measured, first), *column]))
    return Panel(part, (_caption(measured, blocks),))


def _source(measured: Sequence[Measured], block: Measured) -> Part:
    before = list(itertools.takewhile(lambda other: other != block, measured))
    if not before:
        return box('input', 'Input', f'({times(block.input)})')
    rectified = functools.reduce(_rectified, [other.op for other in before], False)
    if rectified and isinstance(_first(block.op), Residual):
        return box('relu', 'Relu activation')
    return dot()


def _rectified(before: bool, op: Op) -> bool:
    """Says whether what `op` makes of such an input is the output of a ReLU."""
    match op:
        case Conv():
            return not op.linear
        case Norm():
            return op.relu
        case Relu():
            return True
        case Pool() | Dropout():
            return before
        case Chain():
            return functools.reduce(_rectified, op.ops, before)
        case Concat():
            return all(_rectified(before, branch) for branch in op.branches)
    return isinstance(op, Residual) and op.relu


def _caption(measured: Sequence[Measured], blocks: Sequence[Measured]) -> str:
    first = blocks[0]
    whole = len(blocks) == sum(block.stage == first.stage for block in measured)
    name = first.stage if whole else span([block.name for block in blocks])
    same = all(block.input == first.input for block in blocks)
    given = f'{times(first.input)} -> ' if same else 'to '
    count = f', x {len(blocks)}' if len(blocks) > 1 else ''
    return f'{name}: {given}{times(first.output)}{count}'


# The whole network.


def _overview(network: Network, measured: Sequence[Measured]) -> Panel:
    *column, logits = [list(g) for _, g in itertools.groupby(measured, _stage)]
    if network.auxiliary:
        auxiliary, logits = logits, column.pop()
    boxes = labelled([*map(_stage_box, column), *_head_boxes(logits[0])])
    boxes.insert(0, box('input', 'Input', f'({times(measured[0].input)})'))
    if network.auxiliary:
        names = [blocks[0].stage for blocks in column]
        fork = names.index(network.auxiliary.after) + 2
        above = aside(stacked(boxes[fork:]), _auxiliary(auxiliary[0]))
        boxes = [*boxes[:fork], above]
    return Panel(stacked(boxes), _totals(network))


def _stage_box(blocks: Sequence[Measured]) -> tuple[str, Part]:
    count = f'{len(blocks)} x ' if len(blocks) > 1 else ''
    label = f'Output: {times(blocks[-1].output)}'
    return label, box('stage', count + _title(blocks))


def _title(blocks: Sequence[Measured]) -> str:
    """Returns the name that the figures give a stage: Inception-A for a."""
    name, op = blocks[0].stage, blocks[0].op
    if len(name) == 1 and residuals(op):
        return f'Inception-resnet-{name.upper()}'
    if len(name) == 1 and isinstance(_first(op), Concat):
        return f'Inception-{name.upper()}'
    first, *others = name.split('_')
    others = [word.upper() if len(word) == 1 else word for word in others]
    return '-'.join([first.capitalize(), *others])


def _first(op: Op) -> Op:
    return _first(op.ops[0]) if isinstance(op, Chain) and op.ops else op


def _head_boxes(logits: Measured) -> list[tuple[str, Part]]:
    *parts, (shape, _) = _parts(logits)
    parts.append((shape, box('dense', 'Softmax')))
    return [(f'Output: {shape[2]}', part) for shape, part in parts]


def _auxiliary(block: Measured) -> Part:
    *parts, _ = _parts(block)
    return stacked([_stack(parts), box('dense', 'Softmax')])


def _parts(block: Measured) -> tuple[tuple[Shape, Part], ...]:
    return interpret(block.op, _Column(block.input), _Figures()).parts


def _totals(network: Network) -> tuple[str, ...]:
    totals = summary(network)
    without = totals['without_auxiliary']
    lines = [network.name, f'{totals["params"]:,} parameters']
    if network.auxiliary:
        lines.append(f'{without["params"]:,} without the auxiliary head')
    return (*lines, f'{millions(totals["macs"])} M multiply-adds')
