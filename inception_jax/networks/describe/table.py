"""A network as a table for people, as a line, and as a summary for programs."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from inception_jax.networks.describe.notation import notation, short, span, wrapped
from inception_jax.networks.network import Block, Network
from inception_jax.networks.ops import residuals, shape_text
from inception_jax.networks.shapes import Measured, least_input_size, measure

AnyBlock = TypeVar('AnyBlock', Block, Measured)

_WIDTH = 100


def summary(network: Network) -> dict:
    """Describes a network as JSON values; shapes are [height, width, channels].

    `params` counts the gammas of batch norm only if the network has them, and
    `params_with_gamma` counts them always. `macs` are the multiply-adds for one image.
    `layers` is the number of convolutions and dense layers. `scale` is the residual
    scale of a block: None without a residual sum, a list with several.

    Raises:
      ValueError: the input is too small for the network, or its parts do not fit
        together.

    >>> from inception_jax.networks import load
    >>> summary(load('inception_v4'))['params']
    42648232
    """
    blocks = measure(network)
    return {
        'name': network.name,
        'input': list(blocks[0].input),
        'blocks': [_block(network, block) for block in blocks],
        **_totals(network, blocks),
        'without_auxiliary': _totals(network, without_auxiliary(network, blocks)),
    }


def _block(network: Network, block: Measured) -> dict:
    scales = scales_of(block)
    return {
        'name': block.name,
        'stage': block.stage,
        'output': list(block.output),
        'scale': list(scales) if len(scales) > 1 else next(iter(scales), None),
        'params': params(network, block),
        'macs': block.total('macs'),
    }


def _totals(network: Network, blocks: Sequence[Measured]) -> dict:
    return {
        'params': sum(params(network, block) for block in blocks),
        'params_with_gamma': sum(with_gamma(block) for block in blocks),
        'macs': sum(block.total('macs') for block in blocks),
        'layers': sum(block.total('layers') for block in blocks),
    }


def without_auxiliary(network: Network, blocks: Sequence[Measured]) -> list[Measured]:
    """Lists the blocks without the auxiliary head, which `measure` returns last."""
    return list(blocks[:-1] if network.auxiliary else blocks)


def params(network: Network, block: Measured) -> int:
    """Counts the trainable parameters of a block of `network`."""
    return with_gamma(block) if network.batch_norm_gamma else block.total('params')


def with_gamma(block: Measured) -> int:
    """Counts the trainable parameters of a block if its batch norm has gammas."""
    return block.total('params') + block.total('batch_norm_channels')


def scales_of(block: Measured) -> tuple[float, ...]:
    """Lists the residual scales of a block."""
    return tuple(residual.scale for residual in residuals(block.op))


def equal_neighbours(blocks: Iterable[Measured]) -> list[list[Measured]]:
    """Groups neighbours of one stage that have the same op and input shape."""
    groups = groupby(blocks, lambda block: (block.stage, block.op, block.input))
    return [list(group) for _, group in groups]


def distinct(blocks: Iterable[AnyBlock]) -> list[list[AnyBlock]]:
    """Groups the blocks of one stage that have the same op, neighbours or not."""
    groups = []
    # Compared and not hashed: an op may hold an object of the user without a hash.
    for block in blocks:
        key = block.stage, block.op
        same = (group for group in groups if (group[0].stage, group[0].op) == key)
        if group := next(same, None):
            group.append(block)
        else:
            groups.append([block])
    return groups


def table(network: Network) -> str:
    """Returns a network as a table for people; `print(network)` prints it.

    A row stands for neighbouring blocks that are equal. Below the rows are the notation
    of each different block, and totals.

    Raises:
      ValueError: the input is too small for the network, or its parts do not fit
        together.

    >>> from inception_jax.networks import load
    >>> print(table(load('inception_v4')).splitlines()[0])
    inception_v4: 299x299x3, 1000 classes, dropout 0.2, batch norm without gamma
    """
    blocks = measure(network)
    rows = [_HEAD, *(_row(network, group) for group in equal_neighbours(blocks))]
    parts = [
        [_heading(network)],
        aligned(rows, left=1),
        notation_lines(blocks),
        aligned(_total_rows(network, blocks), left=1),
        [_footer(network)],
    ]
    return '\n\n'.join('\n'.join(lines) for lines in parts)


def training_lines(network: Network) -> str:
    """Returns what the size and the cost of a network depend on, in four lines."""
    blocks = measure(network)
    last = [block for block in blocks if block.stage == network.stages[-1].name][-1]
    height, width, filters = last.output
    count = sum(params(network, block) for block in blocks)
    macs = sum(block.total('macs') for block in blocks)
    lines = {
        'input': f'{network.input_size}x{network.input_size} pixels',
        'final feature map': f'{height}x{width}, {filters:,} '
        f'filter{"s" * (filters != 1)}',
        'parameters': f'{count:,}',
        'multiply-adds': f'{millions(macs)} M an image',
    }
    return '\n'.join(f'{label:<19}{value}' for label, value in lines.items())


_HEAD = (
    *('block', 'grid', 'channels', 'scale', 'layers'),
    *('params each', 'params', 'M macs each', 'M macs'),
)


def _heading(network: Network) -> str:
    size = network.input_size
    gamma = 'with' if network.batch_norm_gamma else 'without'
    return (
        f'{network.name}: {size}x{size}x3, {_classes(network)}, '
        f'dropout {network.dropout}, batch norm {gamma} gamma'
    )


def _classes(network: Network) -> str:
    return f'{network.classes} class{"es" * (network.classes != 1)}'


def one_line(network: Network) -> str:
    """Returns a network in one line, which is its `repr`.

    The number of parameters is left out if it cannot be computed.
    """
    size = network.input_size
    parts = [repr(network.name), _classes(network), f'{size}x{size}']
    try:
        count = sum(params(network, block) for block in measure(network))
    except Exception:  # The functions of a Module are the user's.
        return f'Network({", ".join(parts)})'
    number = f'{millions(count)} M' if count >= 100_000 else f'{count:,}'
    return f'Network({", ".join(parts)}, {number} parameters)'


def _row(network: Network, blocks: Sequence[Measured]) -> tuple[str, ...]:
    """Writes the row of equal blocks."""
    first, count = blocks[0], len(blocks)
    each, macs = params(network, first), first.total('macs')
    return (
        span([block.name for block in blocks]),
        shape_text(first.output[:2]),
        str(first.output[2]),
        scale_text(scales_of(first)),
        str(count * first.total('layers')),
        f'{each:,}' if count > 1 else '',
        f'{count * each:,}',
        millions(macs) if count > 1 else '',
        millions(count * macs),
    )


def scale_text(scales: Sequence[float]) -> str:
    """Writes residual scales: their range, or the number that they share, if any."""
    if len(set(scales)) > 1:
        return f'{short(min(scales))}..{short(max(scales))}'
    return short(scales[0]) if scales else ''


def millions(number: int) -> str:
    """Writes a number in millions, with one decimal."""
    return f'{number / 1e6:,.1f}'


def aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Aligns rows in columns: the first `left` columns left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append('  '.join(cells).rstrip())
    return lines


def notation_lines(blocks: Iterable[AnyBlock]) -> list[str]:
    """Writes the names and the notation of each block that differs from the others."""
    groups = [(span([b.name for b in group]), group[0]) for group in distinct(blocks)]
    indent = 2 + max(len(name) for name, _ in groups)
    lines = []
    for name, block in groups:
        first, *others = wrapped(notation(block.op), _WIDTH - indent)
        lines.append(name.ljust(indent) + first)
        lines.extend(' ' * indent + line for line in others)
    return lines


def _total_rows(network: Network, blocks: Sequence[Measured]) -> list[tuple[str, ...]]:
    rows = [('', 'params without gamma', 'with gamma', 'M macs', 'conv+dense layers')]
    rows.append(_total_row('total', blocks))
    if network.auxiliary:
        main = without_auxiliary(network, blocks)
        rows.append(_total_row('without auxiliary head', main))
    return rows


def _total_row(name: str, blocks: Sequence[Measured]) -> tuple[str, ...]:
    return (
        name,
        f'{sum(block.total("params") for block in blocks):,}',
        f'{sum(map(with_gamma, blocks)):,}',
        millions(sum(block.total('macs') for block in blocks)),
        str(sum(block.total('layers') for block in blocks)),
    )


def _footer(network: Network) -> str:
    least = least_input_size(network)
    return (
        f'least input {least}x{least}; s2 is stride 2, V is VALID, [a; b] branches\n'
        'macs are the multiply-adds of convolutions and dense layers for one image'
    )
