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
    'logits_edge_ratio': Quantity('logits layer: curvature / stable limit', '', 'log'),
    'logits_rms': Quantity('RMS of the logits', '', 'log'),
    'gradient_norm': Quantity('gradient norm', '', 'log'),
    'learning_rate': Quantity('learning rate'),
    'top_5_error': Quantity('top-5 error', '%'),
    'nats_learned': Quantity('cross-entropy below ln(classes)', 'nats'),
    'saturation': Quantity('largest probability, mean', '%', factor=100.0),
    'feature_square': Quantity('|features|^2, mean', '', 'log'),
    'common_feature_square': Quantity('|mean features|^2', '', 'log'),
    'logits_curvature': Quantity('curvature of the logits layer', '', 'log'),
    'decayed_gradient_norm': Quantity('gradient norm with the L2 term', '', 'log'),
    'clip_factor': Quantity('factor of clipping'),
}

# The quantities that explain a death have a panel in the figure of a run; those with a
# more telling companion have none.
MINOR = {
    'top_5_error',
    'saturation',
    'feature_square',
    'common_feature_square',
    'logits_curvature',
    'decayed_gradient_norm',
    'clip_factor',
}
BLOCK_QUANTITIES = {
    'update_ratio': Quantity('update norm / weight norm', '', 'log'),
    'dead_channels': Quantity('silent channels of the output', '%', factor=100.0),
    'branch_ratio': Quantity('scale x branch RMS / trunk RMS', '', 'log'),
    'output_rms': Quantity('output RMS', '', 'log'),
    'trunk_rms': Quantity('trunk RMS', '', 'log'),
    'branch_rms': Quantity('branch RMS before the scale', '', 'log'),
    'zero_share': Quantity('zeros of the output', '%', factor=100.0),
    'gradient_norm': Quantity('gradient norm', '', 'log'),
}


def main_quantities(names: Iterable[str]) -> list[str]:
    """Returns the quantities that get a panel in the figure of a run, in order."""
    recorded = set(names)
    minor = MINOR | ({'zero_share'} if 'dead_channels' in recorded else set())
    return [name for name in CURVES if name in recorded - minor]
