"""Predictions of stability at step 0, before any training.

The logits layer is a quadratic problem whose curvature one forward pass gives
(`stability.logits_layer`). If the edge ratio of its first step is above 1, the layer
overshoots. The whole network needs products with its Hessian (`lab.probe`).
"""

import dataclasses
import html
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from inception_jax.config.experiment import experiment
from inception_jax.lab.probe import ProbeOptions, probe_state
from inception_jax.lab.table import filters_of
from inception_jax.networks.describe.table import aligned
from inception_jax.networks.network import program
from inception_jax.parallel.compile import compile_step
from inception_jax.parallel.mesh import platform_of, put_batch
from inception_jax.runtime.amounts import counted
from inception_jax.steps.schedules import learning_rate
from inception_jax.training.batches import batch_stream
from inception_jax.training.prepare import PreparedRun, prepare
from inception_jax.training.programs import pure_functions
from inception_jax.training.states import state_at

BATCHES = 4

# Between these ratios, the batches of a run may fall on either side of 1.
LOW, HIGH = 0.5, 2.0

REGIMES = {
    'stable': 'the logits layer is below its stable limit',
    'edge': 'the logits layer is near its stable limit',
    'overshoot': 'the logits layer overshoots from the first steps',
}


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class StabilityPrediction:
    """The curvature of a network at step 0 over its stable limit.

    Attributes:
      network: the name of the network.
      filters: the channels of the final feature map.
      classes: the number of classes.
      batch_size: the number of images in a batch.
      learning_rate, momentum: those of step 1.
      logits_edge_ratio: the curvature of the logits layer over its stable limit, for
        each batch; the batches are those of the first steps.
      feature_square: the mean of |x|^2 of the features of an image, for each batch.
      whole_edge_ratio: the largest curvature of the whole network over its stable
        limit, in the first batch; None if not asked for.
      blocks: the share of each block in the direction of this curvature, or None.
    """

    network: str
    filters: int
    classes: int
    batch_size: int
    learning_rate: float
    momentum: float
    logits_edge_ratio: list[float]
    feature_square: list[float]
    whole_edge_ratio: float | None = None
    blocks: dict[str, float] | None = None

    @property
    def regime(self) -> str:
        """`stable`, `edge` or `overshoot`, by the largest ratio of the logits layer."""
        ratio = max(self.logits_edge_ratio)
        if ratio < LOW:
            return 'stable'
        return 'edge' if ratio <= HIGH else 'overshoot'

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {'regime': self.regime}

    def __repr__(self) -> str:
        ratio = max(self.logits_edge_ratio)
        return f'StabilityPrediction({self.network!r}: {self.regime}, {ratio:.3g})'

    def __str__(self) -> str:
        rows = [
            ('network', f'{self.network}, {counted(self.filters, "filter")} before the '
             f'average pool, {counted(self.classes, "class", "classes")}'),
            ('step 1', f'learning rate {self.learning_rate:.4g}, momentum '
             f'{self.momentum:.4g}'),
            ('batches', f'{len(self.logits_edge_ratio)} of '
             f'{counted(self.batch_size, "image")}'),
            ('|features|^2', _range(self.feature_square)),
            ('curvature / stable limit, logits layer', _range(self.logits_edge_ratio)),
        ]  # fmt: skip
        if self.whole_edge_ratio is not None:
            largest = sorted((self.blocks or {}).items(), key=lambda b: -b[1])[:3]
            parts = ', '.join(f'{block} {100 * x:.0f} %' for block, x in largest)
            rows.append(
                (
                    'curvature / stable limit, whole network',
                    f'{self.whole_edge_ratio:.3g} (direction: {parts})',
                )
            )
        rows.append(('regime', f'{self.regime}: {REGIMES[self.regime]}'))
        return '\n'.join(aligned(rows, left=2))

    def _repr_html_(self) -> str:
        return f'<pre>{html.escape(str(self))}</pre>'


def predict_stability(
    config: Mapping[str, Any], *, batches: int = BATCHES, whole: bool = False
) -> StabilityPrediction:
    """Predicts the stability of the network that a config trains, at step 0.

    It makes forward passes only, so it needs no more memory than an evaluation.

    Args:
      config: the value of `ij.load_config`.
      batches: the number of first batches to look at.
      whole: whether to search for the largest curvature of the whole network too. Each
        of its tens of products costs about as much as two gradients.

    Raises:
      ValueError: the config is wrong, or its data cannot be opened.

    >>> import inception_jax as ij
    >>> config = ij.load_config('configs/stability.py', residual_scale=1.0)
    >>> predict_stability(config).regime  # doctest: +SKIP
    'overshoot'
    """
    return predict_run(checked_run(config, batches), batches=batches, whole=whole)


def checked_run(config: Mapping[str, Any], batches: int) -> PreparedRun:
    """Returns the run of a config in a folder that does not exist.

    Raises:
      ValueError: the config is wrong, its data cannot be opened, or `batches` is not
        at least 1.
    """
    if batches < 1:
        raise ValueError(f'{batches} batches; expected 1 or more')
    with tempfile.TemporaryDirectory() as folder:
        return prepare(experiment(config), Path(folder, 'run'))


def predict_run(run: PreparedRun, *, batches: int, whole: bool) -> StabilityPrediction:
    """Predicts the stability of a run at its step 0, see `predict_stability`."""
    state = state_at(run, 0)
    chosen = run.experiment
    pure = pure_functions(
        program(run.network),
        chosen.recipe,
        chosen.parallel.batch_norm_axis,
        platform_of(run.mesh),
    )
    diagnose = compile_step(pure.diagnose, run.mesh, chosen.parallel.mode)
    stream = batch_stream(run, start=0)
    diagnoses = [
        jax.device_get(diagnose(state, put_batch(next(stream), run.mesh)))
        for _ in range(min(batches, run.steps))
    ]
    curvature = None
    if whole:
        curvature = probe_state(run, state, ProbeOptions(('curvature',))).curvature
    return StabilityPrediction(
        network=run.network.name,
        filters=filters_of(run.network),
        classes=run.network.classes,
        batch_size=chosen.run.batch_size,
        learning_rate=float(
            learning_rate(state.step, state.hparams, chosen.recipe.schedule)
        ),
        momentum=float(state.hparams.momentum),
        logits_edge_ratio=[float(d['logits_edge_ratio']) for d in diagnoses],
        feature_square=[float(d['feature_square']) for d in diagnoses],
        whole_edge_ratio=curvature and _ratio(curvature),
        blocks=curvature and curvature['blocks'],
    )


def _ratio(curvature: Mapping[str, Any]) -> float | None:
    """Returns the ratio of a probe; None for a curvature that is not finite."""
    value, edge = curvature['eigenvalue'], curvature['edge_of_stability']
    if value is None:
        return None
    return 0.0 if edge is None else value / edge


def _range(numbers: list[float]) -> str:
    low, high = (
        f'{x:,.0f}' if x >= 100 else f'{x:.3g}' for x in (min(numbers), max(numbers))
    )
    return low if low == high else f'{low} to {high}'
