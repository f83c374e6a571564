"""What a probe found, as text for people: tables, and the answers in words."""

import itertools
from collections.abc import Iterator
from typing import Any

from inception_jax.networks.describe.notation import span
from inception_jax.networks.describe.table import aligned

Found = dict[str, Any]


def probe_text(found: Found) -> str:
    """Returns what `probe.probe` found on one screen."""
    step = found['step']
    heading = (
        f'{found["network"]} after step {step:,} (epoch {found["epoch"]:.2f}), asked '
        f'on the {found["images"]} images of step {step + 1:,}'
    )
    parts = [[heading], _blocks(found)]
    if found.get('scales'):
        parts.append(_scales(found['scales']))
    if 'curvature' in found:
        parts.append(_curvature(found['curvature']))
    parts.append(list(_words(found)))
    return '\n\n'.join('\n'.join(lines) for lines in parts if lines)


def _blocks(found: Found) -> list[str]:
    """Returns a table with a row for every block."""
    scales = found['residual_scale']

    def of_residual(name: str, form: str) -> list[str]:
        pairs = zip(found[name], scales, strict=True)
        return [_cell(x, form, residual=scale is not None) for x, scale in pairs]

    columns = {'block': found['blocks'], 'scale': [_cell(x, '.4g') for x in scales]}
    if found.get('scale_gradient'):
        columns['dLoss/dScale'] = of_residual('scale_gradient', '+#.3g')
    if 'jacobian_gain' in found:
        gains = found['jacobian_gain']
        columns['gain'] = [_cell(x, '#.3g', residual=True) for x in gains]
        columns['gain of branch'] = of_residual('branch_gain', '#.3g')
    return aligned([list(columns), *zip(*columns.values(), strict=True)], left=1)


def _scales(scales: Found) -> list[str]:
    """Returns a table with a row for every factor."""
    rows = [('all scales times', 'loss', 'cross-entropy', 'dead channels')]
    for factor, loss, nats, dead in zip(*scales.values(), strict=True):
        share = f'{100 * dead:.1f} %'
        rows.append((f'{factor:g}', _number(loss), _number(nats), share))
    return aligned(rows, left=0)


def _curvature(found: Found) -> list[str]:
    rate, momentum = found['learning_rate'], found['momentum']
    value = _number(found['eigenvalue'])
    edge = found['edge_of_stability']
    return aligned(
        [
            (
                'largest curvature',
                value if found['converged'] else f'at least {value}',
                f'residual {_number(found["residual"], ".1g")}, '
                f'{found["products"]} products with the Hessian',
            ),
            (
                'edge of stability',
                'none' if edge is None else _number(edge),
                f'2 (1 + momentum {momentum:.4g}) / learning rate {rate:.4g}',
            ),
        ],
        left=3,
    )


def _words(found: Found) -> Iterator[str]:
    if not any(scale is not None for scale in found['residual_scale']):
        yield f'{found["network"]} has no residual blocks, so nothing has a scale.'
    if found.get('scale_gradient'):
        yield _direction(found)
    if found.get('scales'):
        yield _least(found['scales'])
    if 'jacobian_gain' in found:
        yield from _stretch(found)
    if 'curvature' in found:
        yield _beside_edge(found['curvature'])


def _direction(found: Found) -> str:
    """Says which scales the loss asks to be smaller and which larger."""
    gradients = list(_per_sum(found, 'scale_gradient'))
    if any(gradient is None for _, gradient in gradients):
        return 'The derivative of the loss in the scales is not finite.'
    smaller = _names(gradients, lambda gradient: gradient > 0)
    larger = _names(gradients, lambda gradient: gradient < 0)
    wishes = []
    if smaller:
        wishes.append(f'smaller in {smaller}')
    if larger:
        wishes.append(f'larger in {larger}')
    if not wishes:
        return 'The loss does not change with any scale: no branch reaches it.'
    return f'The loss would fall if the scales were {" and ".join(wishes)}.'


def _per_sum(found: Found, quantity: str) -> Iterator[tuple[str, float | None]]:
    """Yields a quantity of every residual sum, with the name of the sum."""
    columns = (found[name] for name in ('blocks', quantity, 'residual_scale'))
    for name, number, scale in zip(*columns, strict=True):
        if isinstance(number, list):
            yield from ((f'{name} sum_{i}', x) for i, x in enumerate(number, 1))
        elif scale is not None:
            yield name, number


def _names(gradients, wanted) -> str:
    """Names the residual sums whose gradient is wanted, neighbours as a span."""

    def group(pair: tuple[str, float]):
        stage, _, number = pair[0].rpartition('_')
        numbered = number.isdigit()
        return numbered, stage if numbered else pair[0], wanted(pair[1])

    return ', '.join(
        span([name for name, _ in pairs])
        for (*_, chosen), pairs in itertools.groupby(gradients, group)
        if chosen
    )


def _least(scales: Found) -> str:
    """Says at which factor the loss is least."""
    finite = [
        (loss, factor)
        for loss, factor in zip(scales['loss'], scales['factor'], strict=True)
        if loss is not None
    ]
    if not finite:
        return 'The loss is not finite at any of these scales.'
    least, factor = min(finite)
    if least == max(finite)[0]:
        return 'The loss is the same at all these scales.'
    return f'Of these factors on all scales the loss is least at {factor:g}.'


def _stretch(found: Found) -> Iterator[str]:
    """Says which residual blocks stretch a small change most and least."""
    columns = (found[name] for name in ('jacobian_gain', 'blocks', 'residual_scale'))
    rows = zip(*columns, strict=True)
    gains = [(gain, name) for gain, name, scale in rows if None not in (gain, scale)]
    if len(gains) > 1:
        (least, lowest), (most, highest) = min(gains), max(gains)
        yield (
            'A small random change of its input leaves a residual block at most '
            f'{most:.3g} times as large ({highest}), at least {least:.3g} ({lowest}).'
        )


def _beside_edge(found: Found) -> str:
    value, edge = found['eigenvalue'], found['edge_of_stability']
    if value is None:
        return 'The curvature of the loss is not finite.'
    if edge is None:
        return 'The learning rate is 0: no curvature is too great for it.'
    consequence = 'overshoot and grow' if value > edge else 'shrink'
    division = ''
    if found['optimizer'] == 'rmsprop':
        division = ', the division by RMSProp left out'
    return (
        f'The largest curvature is {value / edge:.3g} times the edge of stability: '
        f'steps along it {consequence}{division}.'
    )


def _cell(value: Any, form: str, *, residual: bool = False) -> str:
    """Returns a cell of a table; nothing where a block has no such number."""
    if isinstance(value, list):
        return ', '.join(_number(x, form) for x in value)
    return _number(value, form) if value is not None or residual else ''


def _number(value: float | None, form: str = '#.4g') -> str:
    return 'not finite' if value is None else f'{value:{form}}'.rstrip('.')
