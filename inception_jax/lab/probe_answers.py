"""The answers of a probe: a value, its JSON, and its text for people."""

import dataclasses
import html
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from inception_jax.networks.describe.notation import span
from inception_jax.networks.describe.table import aligned
from inception_jax.runtime.amounts import counted

# The fields that answer each question.
ANSWERS = {
    'scale_gradient': ('scale_gradient',),
    'jacobian': ('jacobian_gain', 'branch_gain', 'samples'),
    'scales': ('scales',),
    'curvature': ('curvature',),
}

# A number of each block of the trunk: None if the block is not residual, a list if it
# has several residual sums.
ByBlock = list[float | list[float | None] | None]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class ProbeAnswers:
    """The answers of the network of a run at one of its steps.

    `ask` are the questions; the answers to other questions are None. So are numbers
    that are not finite, and scales in networks without residual blocks. `repr` is one
    line; `print` and a notebook give tables and a sentence for each answer.

    Attributes:
      step: the number of updates.
      images: the number of images, those of the next training batch.
      seed: the seed of the random perturbations and of the curvature search.
      blocks: the names of the blocks of the trunk, in order.
      residual_scale: the residual scale of each block.
      scale_gradient: dLoss/dScale of each block.
      jacobian_gain: the root mean square factor by which a block stretches a small
        random change of its input.
      branch_gain: the same of its residual branch.
      samples: the number of random changes of each block.
      scales: columns `factor`, `loss`, `cross_entropy` and `dead_channels`, with all
        residual scales multiplied by each factor.
      curvature: the largest `eigenvalue` of the Hessian, divided by the optimizer and
        multiplied by rate factors; `residual`, the bound on the error of the
        eigenvalue, in the same unit; `edge_of_stability`; `blocks`, the share of each
        block in the eigenvector; and others.
    """

    ask: tuple[str, ...]
    step: int
    epoch: float
    network: str
    fingerprint: str
    images: int
    seed: int
    blocks: list[str]
    residual_scale: ByBlock
    scale_gradient: ByBlock | None = None
    jacobian_gain: list[float | None] | None = None
    branch_gain: ByBlock | None = None
    samples: int | None = None
    scales: dict[str, list] | None = None
    curvature: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the content of probe-STEP.json, without questions not asked."""
        skipped = {'ask'}
        for question, fields in ANSWERS.items():
            if question not in self.ask:
                skipped.update(fields)
        names = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in names if name not in skipped}

    def __repr__(self) -> str:
        questions = ', '.join(self.ask)
        return f'ProbeAnswers({self.network!r}, step={self.step}: {questions})'

    def __str__(self) -> str:
        heading = (
            f'{self.network} after step {self.step:,} (epoch {self.epoch:.2f}), probed '
            f'on {counted(self.images, "image")}, the batch of step {self.step + 1:,}'
        )
        parts = [[heading], _block_table(self)]
        if self.scales:
            parts.append(_scale_table(self.scales))
        if self.curvature:
            parts.append(_curvature_table(self.curvature))
        parts.append(list(_sentences(self)))
        return '\n\n'.join('\n'.join(lines) for lines in parts if lines)

    def _repr_html_(self) -> str:
        return f'<pre>{html.escape(str(self))}</pre>'


def _block_table(answers: ProbeAnswers) -> list[str]:
    """Returns a table with a row for every block."""
    scales = answers.residual_scale

    def of_branches(numbers: ByBlock, form: str) -> list[str]:
        pairs = zip(numbers, scales, strict=True)
        return [_cell(x, form, residual=scale is not None) for x, scale in pairs]

    columns = {'block': answers.blocks, 'scale': [_cell(x, '.4g') for x in scales]}
    if answers.scale_gradient:
        columns['dLoss/dScale'] = of_branches(answers.scale_gradient, '+#.3g')
    if answers.jacobian_gain:
        gains = answers.jacobian_gain
        columns['gain'] = [_cell(x, '#.3g', residual=True) for x in gains]
        columns['gain of branch'] = of_branches(answers.branch_gain, '#.3g')
    return aligned([list(columns), *zip(*columns.values(), strict=True)], left=1)


def _scale_table(scales: dict[str, list]) -> list[str]:
    """Returns a table with a row for every factor."""
    rows = [('all scales times', 'loss', 'cross-entropy', 'silent channels')]
    for factor, loss, cross_entropy, silent in zip(*scales.values(), strict=True):
        share = f'{100 * silent:.1f} %'
        rows.append((f'{factor:g}', _number(loss), _number(cross_entropy), share))
    return aligned(rows, left=0)


def _curvature_table(curvature: dict[str, Any]) -> list[str]:
    rate, momentum = curvature['learning_rate'], curvature['momentum']
    value = _number(curvature['eigenvalue'])
    edge = curvature['edge_of_stability']
    divided = ' / RMSProp' if curvature['optimizer'] == 'rmsprop' else ''
    return aligned(
        [
            (
                f'largest curvature{divided}',
                value if curvature['converged'] else f'at least {value}',
                f'error {_error_text(curvature)}, '
                f'{counted(curvature["products"], "product")} with the Hessian',
            ),
            (
                'edge of stability',
                'none' if edge is None else _number(edge),
                f'2 (1 + momentum {momentum:.4g}) / learning rate {rate:.4g}',
            ),
        ],
        left=3,
    )


def _error_text(curvature: dict[str, Any]) -> str:
    """Returns the bound on the error of the eigenvalue, in percent of it."""
    value, residual = curvature['eigenvalue'], curvature['residual']
    if value is None or residual is None:
        return 'not finite'
    # A residual of a matrix of zeros is 0.
    percent = 100 * residual / abs(value) if value else 0.0
    if percent < 0.001:
        return 'below 0.001 %'
    return f'{percent:.1g} %' if percent < 9.5 else f'{percent:.0f} %'


def _sentences(answers: ProbeAnswers) -> Iterator[str]:
    if not any(scale is not None for scale in answers.residual_scale):
        yield f'{answers.network} has no residual blocks, so nothing has a scale.'
    if answers.scale_gradient:
        yield _direction_sentence(answers)
    if answers.scales:
        yield _best_factor_sentence(answers.scales)
    if answers.jacobian_gain:
        yield from _gain_sentences(answers)
    if answers.curvature:
        yield _curvature_sentence(answers.curvature)


def _direction_sentence(answers: ProbeAnswers) -> str:
    """Says in which blocks a smaller scale, and in which a larger, lowers the loss."""
    gradients = list(_gradients_of_sums(answers))
    if any(gradient is None for _, gradient in gradients):
        return 'The derivative of the loss in the scales is not finite.'
    smaller = _names_where(gradients, lambda gradient: gradient > 0)
    larger = _names_where(gradients, lambda gradient: gradient < 0)
    changes = []
    if smaller:
        changes.append(f'smaller in {smaller}')
    if larger:
        changes.append(f'larger in {larger}')
    if not changes:
        return 'The loss does not change with any scale: no branch reaches it.'
    return f'The loss would fall if the scales were {" and ".join(changes)}.'


def _gradients_of_sums(answers: ProbeAnswers) -> Iterator[tuple[str, float | None]]:
    """Yields the name and the gradient of every residual sum."""
    columns = (answers.blocks, answers.scale_gradient, answers.residual_scale)
    for block, gradient, scale in zip(*columns, strict=True):
        if isinstance(gradient, list):
            yield from ((f'{block} sum_{i}', x) for i, x in enumerate(gradient, 1))
        elif scale is not None:
            yield block, gradient


def _names_where(
    gradients: Sequence[tuple[str, float]], condition: Callable[[float], bool]
) -> str:
    """Names the sums whose gradient meets a condition; neighbours form a span."""

    def group(pair: tuple[str, float]):
        stage, _, number = pair[0].rpartition('_')
        numbered = number.isdigit()
        return numbered, stage if numbered else pair[0], condition(pair[1])

    return ', '.join(
        span([name for name, _ in pairs])
        for (*_, meets), pairs in itertools.groupby(gradients, group)
        if meets
    )


def _best_factor_sentence(scales: dict[str, list]) -> str:
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
    return f'The loss is least with all scales times {factor:g}.'


def _gain_sentences(answers: ProbeAnswers) -> Iterator[str]:
    """Says which residual blocks stretch a small change most and least."""
    columns = (answers.jacobian_gain, answers.blocks, answers.residual_scale)
    rows = zip(*columns, strict=True)
    gains = [(gain, name) for gain, name, scale in rows if None not in (gain, scale)]
    if len(gains) > 1:
        (least, lowest), (most, highest) = min(gains), max(gains)
        yield (
            'A residual block stretches a small random change of its input by '
            f'{least:.3g} ({lowest}) to {most:.3g} ({highest}).'
        )


def _curvature_sentence(curvature: dict[str, Any]) -> str:
    value, edge = curvature['eigenvalue'], curvature['edge_of_stability']
    if value is None:
        return 'The curvature of the loss is not finite.'
    if edge is None:
        return 'The learning rate is 0: no curvature is too large for it.'
    consequence = 'overshoot and grow' if value > edge else 'shrink'
    sentence = (
        f'The largest curvature is {value / edge:.3g} times the edge of stability: '
        f'steps along it {consequence}.'
    )
    if curvature['blocks']:
        shares = sorted(curvature['blocks'].items(), key=lambda x: -x[1])[:3]
        parts = ', '.join(f'{block} {100 * x:.0f} %' for block, x in shares)
        sentence += f' Its direction lies in {parts}.'
    return sentence


def _cell(value: Any, form: str, *, residual: bool = False) -> str:
    """Returns a cell of a table, empty where a block has no such number."""
    if isinstance(value, list):
        return ', '.join(_number(x, form) for x in value)
    return _number(value, form) if value is not None or residual else ''


def _number(value: float | None, form: str = '#.4g') -> str:
    return 'not finite' if value is None else f'{value:{form}}'.rstrip('.')
