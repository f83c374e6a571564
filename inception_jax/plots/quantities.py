"""The numbers of the records: what they are called, and how they are drawn."""

import dataclasses
from collections.abc import Iterable

SPLITS = {
    'train': 'training batches',
    'evaluation': 'evaluation, averaged parameters',
    'diagnostics': 'diagnosed batches',
}


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A number of the records: what it is called, in which unit, and on which axis.

    Shares are drawn in percent: `factor` is what a recorded number is multiplied by.
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
    'dead_channels': Quantity('dead channels, last grid', '%', factor=100.0),
    'zero_share': Quantity('zeros, last grid', '%', factor=100.0),
    'gradient_norm': Quantity('gradient norm', '', 'log'),
    'learning_rate': Quantity('learning rate'),
    'top_5_error': Quantity('top-5 error', '%'),
    'nats_learned': Quantity('cross-entropy below ln(classes)', 'nats'),
}
BLOCK_QUANTITIES = {
    'dead_channels': Quantity('dead channels of the output', '%', factor=100.0),
    'branch_ratio': Quantity('scale x branch RMS / trunk RMS', '', 'log'),
    'output_rms': Quantity('output RMS', '', 'log'),
    'trunk_rms': Quantity('trunk RMS', '', 'log'),
    'branch_rms': Quantity('branch RMS before the scale', '', 'log'),
    'zero_share': Quantity('zeros of the output', '%', factor=100.0),
    'gradient_norm': Quantity('gradient norm', '', 'log'),
    'update_ratio': Quantity('update norm / weight norm', '', 'log'),
}


def main_quantities(names: Iterable[str]) -> list[str]:
    """Returns which quantities of a run have a panel, in their order."""
    there = set(names)
    least = {'top_5_error'} | ({'zero_share'} if 'dead_channels' in there else set())
    return [name for name in CURVES if name in there - least]
