"""Questions to the network of a run at one of its steps: scales, blocks, curvature.

They are asked on the very batch that the next step trains on, augmented with the same
keys; in float32 whatever the recipe says, without dropout and without the L2 term.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax.networks.network import (
    Network,
    fingerprint,
    program,
    residual_scales,
    trunk,
)
from inception_jax.networks.ops import residuals
from inception_jax.parallel.compile import compile_probe
from inception_jax.parallel.mesh import platform_of, put_batch
from inception_jax.stability import probes
from inception_jax.stability.curvature import edge_of_stability, largest_curvature
from inception_jax.steps.forward import augmented
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.schedules import learning_rate, residual_scale
from inception_jax.steps.state import TrainState
from inception_jax.training.loop import batch_stream
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.programs import run_functions

# When the search for the largest curvature stops: at a relative error, or after so many
# restarts of up to twenty products each.
TOLERANCE, RESTARTS = 1e-3, 20


@dataclasses.dataclass(frozen=True)
class ProbeOptions:
    """What to ask, of `QUESTIONS`, and how.

    `factors` multiply all residual scales. `samples` is the number of random
    perturbations of each block, `seed` theirs and that of the search for the curvature.
    """

    ask: tuple[str, ...]
    factors: tuple[float, ...]
    samples: int
    seed: int

    def __post_init__(self):
        for question in self.ask:
            if question not in QUESTIONS:
                raise ValueError(
                    f'no question is called {question!r}; ask some of '
                    f'{", ".join(QUESTIONS)}'
                )
        if not self.factors or not np.isfinite(self.factors).all():
            raise ValueError(
                f'factors {list(self.factors)}; expected finite numbers, e.g. 0,0.3,1'
            )
        if self.samples < 1:
            raise ValueError(f'{self.samples} samples; expected 1 or more')
        if self.seed < 0:
            raise ValueError(f'seed {self.seed}; expected 0 or more')


def probe(p: PreparedRun, state: TrainState, options: ProbeOptions) -> dict[str, Any]:
    """Returns the answers at a state of a run, as JSON: None for what is not finite.

    Lists are by block of the trunk, as `blocks` names them, None where a block is not
    residual; a block of several residual sums has a list of its own. In networks
    without residual blocks `scale_gradient` and `scales` are None.
    """
    step = int(state.step)
    scale = np.asarray(residual_scale(state.step, state.hparams))
    subject = _ProbeInput(
        p,
        state,
        scale,
        put_batch(next(batch_stream(p, start=step)), p.mesh),
        _looks(
            program(p.network),
            dataclasses.replace(p.experiment.recipe, dtype='float32'),
            p.mesh,
            options.samples,
        ),
        options,
    )
    found = {
        'step': step,
        'epoch': step / p.steps_per_epoch,
        'network': p.network.name,
        'fingerprint': fingerprint(p.network),
        'images': p.experiment.run.batch_size,
        'seed': options.seed,
        'blocks': [block.name for block in trunk(p.network)],
        'residual_scale': _by_block(p.network, scale),
    }
    for question, answer in QUESTIONS.items():
        if question in options.ask:
            found |= answer(subject)
    return _plain(found)


class _ProbeFunctions(NamedTuple):
    """Compiled functions of a tuple, which begins with a state, and a batch."""

    scale_gradient: Callable
    gains: Callable
    losses: Callable
    hessian_product: Callable


class _ProbeInput(NamedTuple):
    """What every question is asked of."""

    p: PreparedRun
    state: TrainState
    scale: np.ndarray
    batch: dict[str, jax.Array]
    looks: _ProbeFunctions
    options: ProbeOptions


def _scale_gradient(s: _ProbeInput) -> dict[str, Any]:
    if not residual_scales(s.p.network):
        return {'scale_gradient': None}
    gradient = s.looks.scale_gradient((s.state, s.scale), s.batch)
    return {'scale_gradient': _by_block(s.p.network, np.asarray(gradient))}


def _jacobian(s: _ProbeInput) -> dict[str, Any]:
    key = jax.random.key(s.options.seed)
    gains = s.looks.gains((s.state, s.scale, key), s.batch)
    return {
        'jacobian_gain': gains.block,
        'branch_gain': gains.branch,
        'samples': s.options.samples,
    }


def _scales(s: _ProbeInput) -> dict[str, Any]:
    if not residual_scales(s.p.network):
        return {'scales': None}
    scales = np.outer(np.array(s.options.factors, np.float32), s.scale)
    losses = s.looks.losses((s.state, scales), s.batch)
    columns = ('loss', 'cross_entropy', 'dead_channels')
    return {
        'scales': {
            'factor': s.options.factors,
            **{name: losses[name] for name in columns},
        }
    }


def _curvature(s: _ProbeInput) -> dict[str, Any]:
    def product(vector: np.ndarray) -> jax.Array:
        return s.looks.hessian_product((s.state, s.scale, vector), s.batch)

    found = largest_curvature(
        product,
        sum(x.size for x in jax.tree.leaves(s.state.params)),
        seed=s.options.seed,
        tolerance=TOLERANCE,
        max_iterations=RESTARTS,
    )
    recipe, hparams = s.p.experiment.recipe, s.state.hparams
    rate = float(learning_rate(s.state.step, hparams, recipe.schedule))
    momentum = float(hparams.momentum)
    return {
        'curvature': {
            **found._asdict(),
            'tolerance': TOLERANCE,
            'optimizer': recipe.optimizer,
            'learning_rate': rate,
            'momentum': momentum,
            'edge_of_stability': edge_of_stability(rate, momentum),
        }
    }


QUESTIONS: dict[str, Callable[[_ProbeInput], dict[str, Any]]] = {
    'scale_gradient': _scale_gradient,
    'jacobian': _jacobian,
    'scales': _scales,
    'curvature': _curvature,
}


@functools.lru_cache(maxsize=4)
def _looks(
    network: Network, recipe: Recipe, mesh: Mesh, samples: int
) -> _ProbeFunctions:
    classifier, distort, *_ = run_functions(network, recipe, None, platform_of(mesh))

    def begun(state, scales, batch):
        """Returns what all probes begin with."""
        variables = {'params': state.params, 'batch_stats': state.batch_stats}
        return variables, scales, augmented(state, batch, augment=distort)

    def of_loss(look):
        """Returns a look at the loss, which needs the labels and the hparams too."""

        def at(given, batch):
            state, scales, *first = given
            all_but_first = (
                *begun(state, scales, batch),
                batch['label'],
                state.hparams,
            )
            return look(*first, *all_but_first, classifier=classifier)

        return at

    def gains(given, batch):
        state, scales, key = given
        return probes.jacobian_gain(
            *begun(state, scales, batch), key, classifier=classifier, samples=samples
        )

    return _ProbeFunctions(
        scale_gradient=compile_probe(of_loss(probes.scale_gradient), mesh),
        gains=compile_probe(gains, mesh),
        losses=compile_probe(of_loss(probes.loss_at_scales), mesh),
        hessian_product=compile_probe(of_loss(probes.hessian_product), mesh),
    )


def _by_block(network: Network, numbers: np.ndarray) -> list:
    """Returns what is given for residual sums by block: a number, None or several."""
    left, found = iter(numbers), []
    for block in trunk(network):
        here = [next(left) for _ in residuals(block.op)]
        found.append(here if len(here) > 1 else next(iter(here), None))
    return found


def _plain(value: Any) -> Any:
    """Returns JSON: lists for arrays, None for what is not finite."""
    match value:
        case dict():
            return {name: _plain(x) for name, x in value.items()}
        case list() | tuple():
            return [_plain(x) for x in value]
        case jax.Array() | np.ndarray() | np.generic():
            return _plain(np.asarray(value).tolist())
        case float() if not math.isfinite(value):
            return None
    return value
