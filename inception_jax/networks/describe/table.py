"""The readings of a network as a table for people and as a summary for programs."""

from collections.abc import Iterable, Sequence

from inception_jax.networks.describe.notation import (
    notation,
    short,
    span,
    times,
    wrapped,
)
from inception_jax.networks.network import Network
from inception_jax.networks.ops import residuals
from inception_jax.networks.shapes import Measured, least_input_size, measure

_WIDTH = 100


def summary(network: Network) -> dict:
    """Describes a network as JSON values; shapes are [height, width, channels].

    `params` counts the gammas of batch norm only where the network has them,
    `params_with_gamma` always. `macs` are multiply-adds for one image, `layers` the
    convolutions and dense layers. `scale` is a list in a block with several sums.
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
    """Drops the auxiliary head, which `measure` puts last, if the network has one."""
    return list(blocks[:-1] if network.auxiliary else blocks)


def params(network: Network, block: Measured) -> int:
    """Counts the trainable parameters that a block of `network` has."""
    return with_gamma(block) if network.batch_norm_gamma else block.total('params')


def with_gamma(block: Measured) -> int:
    """Counts the trainable parameters of a block whose batch norm has a gamma."""
    return block.total('params') + block.total('batch_norm_channels')


def scales_of(block: Measured) -> tuple[float, ...]:
    """Lists the residual scales of a block."""
    return tuple(residual.scale for residual in residuals(block.op))


def runs(blocks: Iterable[Measured]) -> list[list[Measured]]:
    """Groups neighbours of one stage that are equal in op and input shape."""
    groups = []
    for block in blocks:
        if groups and _place(groups[-1][-1]) == _place(block):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _place(block: Measured):
    return block.stage, block.op, block.input


def distinct(blocks: Iterable[Measured]) -> list[list[Measured]]:
    """Groups the blocks of one stage that are equal in op, neighbours or not."""
    groups = {}
    for block in blocks:
        groups.setdefault((block.stage, block.op), []).append(block)
    return list(groups.values())


def table(network: Network) -> str:
    """Returns a table for people: a row per run of equal blocks, blocks, totals."""
    blocks = measure(network)
    rows = [_HEAD, *(_row(network, run) for run in runs(blocks))]
    parts = [
        [_heading(network)],
        aligned(rows, left=1),
        _notations(blocks),
        aligned(_total_rows(network, blocks), left=1),
        [_footer(network)],
    ]
    return '\n\n'.join('\n'.join(lines) for lines in parts)


_HEAD = (
    *('block', 'grid', 'channels', 'scale', 'layers'),
    *('params each', 'params', 'M macs each', 'M macs'),
)


def _heading(network: Network) -> str:
    size = network.input_size
    gamma = 'with' if network.batch_norm_gamma else 'without'
    return (
        f'{network.name}: {size}x{size}x3, {network.classes} classes, '
        f'dropout {network.dropout}, batch norm {gamma} gamma'
    )


def _row(network: Network, run: Sequence[Measured]) -> tuple[str, ...]:
    first, count = run[0], len(run)
    each, macs = params(network, first), first.total('macs')
    return (
        span([block.name for block in run]),
        times(first.output[:2]),
        str(first.output[2]),
        scale_text(scales_of(first)),
        str(count * first.total('layers')),
        f'{each:,}' if count > 1 else '',
        f'{count * each:,}',
        millions(macs) if count > 1 else '',
        millions(count * macs),
    )


def scale_text(scales: Sequence[float]) -> str:
    """Writes residual scales: nothing, the one that all have, or their range."""
    if len(set(scales)) > 1:
        return f'{short(min(scales))}..{short(max(scales))}'
    return short(scales[0]) if scales else ''


def millions(macs: int) -> str:
    return f'{macs / 1e6:,.1f}'


def aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Sets rows in columns of equal width, the first `left` of them to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append('  '.join(cells).rstrip())
    return lines


def _notations(blocks: Sequence[Measured]) -> list[str]:
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
