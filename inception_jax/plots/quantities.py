"""The quantities that runs record: their names, units and axes in figures."""

import dataclasses
from collections.abc import Iterable

SPLITS = {
    'train': 'training batches',
    'evaluation': 'evaluation, EMA weights',
    'diagnostics': 'diagnosed batches',
}

# The points that are marked on a curve.
MARKS = {
    'lost': '\N{MULTIPLICATION SIGN} dead or diverged',
    'origin': '\N{WHITE CIRCLE} fork',
}


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A recorded number: its label, unit and axis (`linear` or `log`).

    Figures show the recorded number times `factor`: 100 turns a share into percent.
    """

    label: str
    unit: str = ''
    axis: str = 'linear'
    factor: float = 1.0

    @property
    def title(self) -> str:
        return f'{self.label}, {self.unit}' if self.unit else self.label

    @property
    def is_share(self) -> bool:
        return self.factor == 100.0


CURVES = {
    'top_1_error': Quantity('top-1 error', '%'),
    'cross_entropy': Quantity('cross-entropy', 'nats', 'log'),
    'dead_channels': Quantity('silent channels, final feature map', '%', factor=100.0),
    'zero_share': Quantity('zeros, final feature map', '%', factor=100.0),
    'gradient_norm': Quantity('gradient norm', '', 'log'),
    'learning_rate': Quantity('learning rate'),
    'top_5_error': Quantity('top-5 error', '%'),
    'nats_learned': Quantity('cross-entropy below ln(classes)', 'nats'),
}
BLOCK_QUANTITIES = {
    'dead_channels': Quantity('silent channels of the output', '%', factor=100.0),
    'branch_ratio': Quantity('scale x branch RMS / trunk RMS', '', 'log'),
    'output_rms': Quantity('output RMS', '', 'log'),
    'trunk_rms': Quantity('trunk RMS', '', 'log'),
    'branch_rms': Quantity('branch RMS before the scale', '', 'log'),
    'zero_share': Quantity('zeros of the output', '%', factor=100.0),
    'gradient_norm': Quantity('gradient norm', '', 'log'),
    'update_ratio': Quantity('update norm / weight norm', '', 'log'),
}


def main_quantities(names: Iterable[str]) -> list[str]:
    """Returns the quantities that get a panel in the figure of a run, in order."""
    recorded = set(names)
    minor = {'top_5_error'} | ({'zero_share'} if 'dead_channels' in recorded else set())
    return [name for name in CURVES if name in recorded - minor]
