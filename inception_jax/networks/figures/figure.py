"""A network as an SVG figure in the style of the paper."""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from inception_jax.networks.describe.notation import callable_name, short, span
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
from inception_jax.networks.network import Network, check_network
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
    shape_text,
)
from inception_jax.networks.shapes import Measured, measure, output_shape, window


class Drawing(str):
    """The SVG text that `draw` returns; a notebook shows it as a figure."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


def draw(network: Network, block: str | None = None) -> Drawing:
    """Returns the SVG text of the figure of a network, or of one block or stage.

    The figure of a network is a column of its stages, as in Figs. 9 and 15, and beside
    it a panel for every block that differs from the others of its stage. A notebook
    shows the figure.

    Args:
      block: the name of a block or of a stage; None means the whole network.

    Raises:
      ValueError: there is no such block or stage, the input is too small for the
        network, or its parts do not fit together.

    >>> from inception_jax.networks import load
    >>> draw(load('inception_v4'), 'stem').splitlines()[1]
    '<title>inception_v4: stem</title>'
    """
    check_network(network)
    title = network.name if block is None else f'{network.name}: {block}'
    return Drawing(svg(sheet(network, block), title))


def sheet(network: Network, block: str | None = None) -> Page:
    """Returns the page that `draw` writes as SVG."""
    measured = measure(network)
    if block is not None:
        return page(_panels(measured, _named_blocks(network, measured, block)))
    trunk = measured[: -2 if network.auxiliary else -1]
    return page([_overview(network, measured), *_panels(measured, trunk)])


def _named_blocks(
    network: Network, measured: Sequence[Measured], name: str
) -> list[Measured]:
    blocks = [block for block in measured if name in (block.name, block.stage)]
    if blocks:
        return blocks
    stages = [list(blocks) for _, blocks in itertools.groupby(measured, _stage)]
    known = [span([block.name for block in blocks]) for blocks in stages]
    raise ValueError(
        f'{network.name} has no block or stage {name!r}; it has {", ".join(known)}'
    )


def _stage(block: Measured) -> str:
    return block.stage


# Blocks.


class _Column(NamedTuple):
    """The shape of an activation, and the parts from the input on with their shapes."""

    shape: Shape
    parts: tuple[tuple[Shape, Part], ...] = ()

    def add_on_top(self, shape: Shape, *parts: Part) -> '_Column':
        return _Column(shape, (*self.parts, *((shape, part) for part in parts)))


class _Figures:
    """The reading whose values are columns; branches share the parts below a fork."""

    def width(self, x: _Column) -> int:
        return x.shape[2]

    def leaf(self, name: str, op: Op, x: _Column) -> _Column:
        shape = output_shape(op, x.shape)
        # A global pool does not change a grid of one pixel.
        idle = isinstance(op, Pool) and op.kernel is None and shape == x.shape
        return x.add_on_top(shape, *([] if idle else [_leaf(op, x.shape)]))

    def concat(self, xs: list[_Column]) -> _Column:
        if len(xs) == 1:
            return xs[0]
        shape = (*xs[0].shape[:2], sum(x.shape[2] for x in xs))
        shared = _shared([x.parts for x in xs])
        branches = [_stack(x.parts[shared:]) for x in xs]
        return _Column(shape, xs[0].parts[:shared]).add_on_top(
            shape, side_by_side(branches)
        )

    def add(self, op: Residual, x: _Column, branch: _Column) -> _Column:
        inside = _stack(branch.parts[len(x.parts) :])
        return x.add_on_top(x.shape, summed(inside, f'x {short(op.scale)}', op.relu))


def _shared(columns: Sequence[Sequence]) -> int:
    rows = zip(*columns, strict=False)
    same = [all(part is row[0] for part in row) for row in rows]
    return [*same, False].index(False)


def _stack(parts) -> Part:
    return stacked([part for _, part in parts])


def _leaf(op: Op, shape: Shape) -> Part:
    kernel = shape_text(window(op, shape) or ())
    match op:
        case Conv():
            linear = ' Linear' if op.linear else ''
            details = f'({op.filters}{linear}{_steps(op)})'
            return box('linear' if op.linear else 'conv', f'{kernel} Conv', details)
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
        column = labelled([(shape_text(shape), part) for shape, part in parts])
    else:
        column = [part for _, part in parts]
    part = joined(stacked([_panel_input(measured, first), *column]))
    return Panel(part, (_caption(measured, blocks),))


def _panel_input(measured: Sequence[Measured], block: Measured) -> Part:
    before = list(itertools.takewhile(lambda other: other != block, measured))
    if not before:
        return box('input', 'Input', f'({shape_text(block.input)})')
    after_relu = functools.reduce(_ends_in_relu, [other.op for other in before], False)
    if after_relu and isinstance(_first_op(block.op), Residual):
        return box('relu', 'Relu activation')
    return dot()


def _ends_in_relu(before: bool, op: Op) -> bool:
    """Whether the output of `op` has passed a ReLU; `before` says it of its input."""
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
            return functools.reduce(_ends_in_relu, op.ops, before)
        case Concat():
            return all(_ends_in_relu(before, branch) for branch in op.branches)
    return isinstance(op, Residual) and op.relu


def _caption(measured: Sequence[Measured], blocks: Sequence[Measured]) -> str:
    first = blocks[0]
    whole = len(blocks) == sum(block.stage == first.stage for block in measured)
    name = first.stage if whole else span([block.name for block in blocks])
    same = all(block.input == first.input for block in blocks)
    shapes = f'{shape_text(first.input)} -> ' if same else 'to '
    count = f', x {len(blocks)}' if len(blocks) > 1 else ''
    return f'{name}: {shapes}{shape_text(first.output)}{count}'


# The whole network.


def _overview(network: Network, measured: Sequence[Measured]) -> Panel:
    groups = itertools.groupby(measured, _stage)
    *column, logits = [list(blocks) for _, blocks in groups]
    if network.auxiliary:
        auxiliary, logits = logits, column.pop()
    boxes = labelled([*map(_stage_box, column), *_head_boxes(logits[0])])
    boxes.insert(0, box('input', 'Input', f'({shape_text(measured[0].input)})'))
    if network.auxiliary:
        names = [blocks[0].stage for blocks in column]
        fork = names.index(network.auxiliary.after) + 2
        above = aside(stacked(boxes[fork:]), _auxiliary(auxiliary[0]))
        boxes = [*boxes[:fork], above]
    return Panel(stacked(boxes), _totals(network))


def _stage_box(blocks: Sequence[Measured]) -> tuple[str, Part]:
    count = f'{len(blocks)} x ' if len(blocks) > 1 else ''
    label = f'Output: {shape_text(blocks[-1].output)}'
    return label, box('stage', count + _title(blocks))


def _title(blocks: Sequence[Measured]) -> str:
    """Returns the name of a stage in the paper's figures: Inception-A for a."""
    name, op = blocks[0].stage, blocks[0].op
    if len(name) == 1 and residuals(op):
        return f'Inception-resnet-{name.upper()}'
    if len(name) == 1 and isinstance(_first_op(op), Concat):
        return f'Inception-{name.upper()}'
    first, *others = name.split('_')
    others = [word.upper() if len(word) == 1 else word for word in others]
    return '-'.join([first.capitalize(), *others])


def _first_op(op: Op) -> Op:
    return _first_op(op.ops[0]) if isinstance(op, Chain) and op.ops else op


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
