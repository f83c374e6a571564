"""Probes: questions about the scales, the blocks and the curvature of a network.

A probe uses the batch that the next step trains on, augmented with the same keys. It
computes in float32 whatever the recipe says, without dropout and without the L2 term.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax.lab.probe_answers import ANSWERS, ProbeAnswers
from inception_jax.networks.network import (
    Network,
    by_block,
    fingerprint,
    program,
    residual_scales,
    trunk,
)
from inception_jax.parallel.compile import compile_probe
from inception_jax.parallel.mesh import platform_of, put_batch
from inception_jax.runtime import choices
from inception_jax.runtime.random_numbers import random_key
from inception_jax.stability import probes
from inception_jax.stability.curvature import edge_of_stability, largest_curvature
from inception_jax.steps.by_block import (
    nearest_numbers,
    select_blocks,
    without_blocks,
)
from inception_jax.steps.forward import augmented
from inception_jax.steps.optimizers import preconditioner
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.schedules import learning_rate, residual_scale
from inception_jax.steps.state import TrainState
from inception_jax.training.batches import batch_stream
from inception_jax.training.observe import position
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.programs import pure_functions
from inception_jax.training.states import AnyRun, open_run, state_at

QUESTIONS = tuple(ANSWERS)
FACTORS = (0.0, 0.1, 0.3, 1.0, 2.0)
SAMPLES = 16

# The search for the largest curvature stops at a relative error, or after so many
# restarts of up to twenty products each.
TOLERANCE, RESTARTS = 1e-3, 20


@dataclasses.dataclass(frozen=True)
class ProbeOptions:
    """The questions of a probe, and how they are answered.

    `factors` multiply all residual scales. `samples` is the number of random
    perturbations of each block. `seed` is that of the perturbations and of the search
    for the curvature.
    """

    ask: tuple[str, ...] = QUESTIONS
    factors: tuple[float, ...] = FACTORS
    samples: int = SAMPLES
    seed: int = 0

    def __post_init__(self):
        for question in self.ask:
            choices.check('question', question, QUESTIONS)
        if not self.factors or not np.isfinite(self.factors).all():
            raise ValueError(
                f'factors {list(self.factors)}; expected finite numbers, e.g. 0,0.3,1'
            )
        if self.samples < 1:
            raise ValueError(f'{self.samples} samples; expected 1 or more')
        if self.seed < 0:
            raise ValueError(f'seed {self.seed}; expected 0 or more')


def probe(
    run: AnyRun,
    step: int | None = None,
    *,
    ask: str | Sequence[str] = QUESTIONS,
    factors: Sequence[float] = FACTORS,
    samples: int = SAMPLES,
    seed: int = 0,
) -> ProbeAnswers:
    """Asks the network of a run about its scales, its blocks and its curvature.

    Args:
      run: a run, or its folder.
      step: the number of updates; by default the newest checkpoint.
      ask: one or more of `scale_gradient`, `jacobian`, `scales`, `curvature`.
      factors: the factors on all residual scales, for the question `scales`.
      samples: the number of random changes of each block, for `jacobian`.
      seed: the seed of these changes and of the search for the curvature.

    Raises:
      ValueError: there is no such run, step or question.

    >>> probe('runs/quickstart', step=45).scale_gradient  # doctest: +SKIP
    >>> probe('no_such_folder')
    Traceback (most recent call last):
    ValueError: no_such_folder does not exist; check the path, or start a run with train
    """
    questions = (ask,) if isinstance(ask, str) else tuple(ask)
    options = ProbeOptions(questions, tuple(factors), samples, seed)
    prepared = open_run(run)
    return probe_state(prepared, state_at(prepared, step), options)


def probe_state(
    run: PreparedRun, state: TrainState, options: ProbeOptions
) -> ProbeAnswers:
    """Answers questions at a state of a run."""
    step = int(state.step)
    scale = np.asarray(residual_scale(state.step, state.hparams))
    subject = _ProbeInput(
        run,
        state,
        scale,
        put_batch(next(batch_stream(run, start=step)), run.mesh),
        _compile_probes(
            program(run.network),
            dataclasses.replace(run.experiment.recipe, dtype='float32'),
            run.mesh,
            options.samples,
        ),
        options,
    )
    answers = {
        **position(run, step),
        'network': run.network.name,
        'fingerprint': fingerprint(run.network),
        'images': run.experiment.run.batch_size,
        'seed': options.seed,
        'blocks': [block.name for block in trunk(run.network)],
        'residual_scale': _by_block(run.network, scale),
    }
    for question, answer in _ANSWER.items():
        if question in options.ask:
            answers |= answer(subject)
    return ProbeAnswers(ask=options.ask, **_json_values(answers))


class _ProbeFunctions(NamedTuple):
    """Compiled functions of a tuple that starts with the state, and a batch."""

    scale_gradient: Callable
    gains: Callable
    losses: Callable
    hessian_product: Callable


class _ProbeInput(NamedTuple):
    """The input of every question."""

    run: PreparedRun
    state: TrainState
    scale: np.ndarray
    batch: dict[str, jax.Array]
    functions: _ProbeFunctions
    options: ProbeOptions


def _scale_gradient(subject: _ProbeInput) -> dict[str, Any]:
    network = subject.run.network
    if not residual_scales(network):
        return {'scale_gradient': None}
    gradient = subject.functions.scale_gradient(
        (subject.state, subject.scale), subject.batch
    )
    return {'scale_gradient': _by_block(network, np.asarray(gradient))}


def _jacobian(subject: _ProbeInput) -> dict[str, Any]:
    key = random_key(subject.options.seed)
    gains = subject.functions.gains((subject.state, subject.scale, key), subject.batch)
    return {
        'jacobian_gain': gains.block,
        'branch_gain': gains.branch,
        'samples': subject.options.samples,
    }


def _scales(subject: _ProbeInput) -> dict[str, Any]:
    if not residual_scales(subject.run.network):
        return {'scales': None}
    factors = subject.options.factors
    scales = np.outer(np.array(factors, np.float32), subject.scale)
    losses = subject.functions.losses((subject.state, scales), subject.batch)
    columns = ('loss', 'cross_entropy', 'dead_channels')
    return {'scales': {'factor': factors, **{name: losses[name] for name in columns}}}


def _curvature(subject: _ProbeInput) -> dict[str, Any]:
    state = subject.state

    recipe, hparams = subject.run.experiment.recipe, state.hparams
    divisors = _divisors(subject.run, state)
    root = np.concatenate([x.ravel() for x in jax.tree.leaves(divisors)]) ** -0.5

    def product(vector: np.ndarray) -> np.ndarray:
        inputs = (state, subject.scale, root * vector)
        return root * np.asarray(
            subject.functions.hessian_product(inputs, subject.batch)
        )

    largest = largest_curvature(
        product,
        root.size,
        seed=subject.options.seed,
        tolerance=TOLERANCE,
        max_iterations=RESTARTS,
    )
    rate = float(learning_rate(state.step, hparams, recipe.schedule))
    momentum = float(hparams.momentum)
    return {
        'curvature': {
            **{name: x for name, x in vars(largest).items() if name != 'vector'},
            **_shares(largest.vector, divisors),
            'tolerance': TOLERANCE,
            'optimizer': recipe.optimizer,
            'learning_rate': rate,
            'momentum': momentum,
            'edge_of_stability': edge_of_stability(rate, momentum),
        }
    }


def _divisors(run: PreparedRun, state: TrainState) -> dict[str, Any]:
    """Returns what divides the rate of each parameter, as NumPy arrays by block.

    It is the divisor of the optimizer over the rate factor of the block, and infinite
    in a frozen block.
    """
    recipe = run.experiment.recipe
    frozen = select_blocks(run.network, recipe.frozen)
    factors = nearest_numbers(run.network, dict(recipe.rate_factors))
    free = preconditioner(
        state.opt_state, without_blocks(state.params, frozen), state.hparams, recipe
    )

    def divisors(block: str, tree: Any) -> Any:
        factor = np.float32(factors.get(block, 1.0))
        if block not in free or factor == 0:
            return jax.tree.map(lambda x: np.full(x.shape, np.inf, x.dtype), tree)
        return jax.tree.map(lambda p: np.asarray(p) / factor, free[block])

    return {block: divisors(block, tree) for block, tree in state.params.items()}


def _shares(vector: np.ndarray | None, like: dict[str, Any]) -> dict[str, Any]:
    """Returns the parts of a unit vector in each block, and in leaves above 1 %.

    Parts are sums of squares, which are 1 together.
    """
    if vector is None:
        return {'blocks': None, 'leaves': None}
    paths = jax.tree_util.tree_leaves_with_path(like)
    ends = np.cumsum([leaf.size for _, leaf in paths])
    squares = [float(part @ part) for part in np.split(vector, ends[:-1])]
    blocks, leaves = dict.fromkeys(like, 0.0), {}
    for (path, _), square in zip(paths, squares, strict=True):
        names = [entry.key for entry in path]
        blocks[names[0]] += square
        if square >= 0.01:
            leaves['/'.join(names)] = square
    return {'blocks': blocks, 'leaves': leaves}


_ANSWER: dict[str, Callable[[_ProbeInput], dict[str, Any]]] = {
    'scale_gradient': _scale_gradient,
    'jacobian': _jacobian,
    'scales': _scales,
    'curvature': _curvature,
}


@functools.lru_cache(maxsize=4)
def _compile_probes(
    network: Network, recipe: Recipe, mesh: Mesh, samples: int
) -> _ProbeFunctions:
    pure = pure_functions(network, recipe, None, platform_of(mesh))
    classifier = pure.classifier

    def common(state, scales, batch):
        """Returns the first arguments of every probe."""
        images = augmented(state, batch, augment=pure.augment)
        return state.variables, scales, images

    def of_loss(function):
        """Returns a probe of the loss, which needs the labels and the hparams too."""

        def probe_loss(inputs, batch):
            state, scales, *first = inputs
            others = (*common(state, scales, batch), batch['label'], state.hparams)
            return function(*first, *others, classifier=classifier)

        return probe_loss

    def gains(inputs, batch):
        state, scales, key = inputs
        return probes.jacobian_gain(
            *common(state, scales, batch), key, classifier=classifier, samples=samples
        )

    return _ProbeFunctions(
        scale_gradient=compile_probe(of_loss(probes.scale_gradient), mesh),
        gains=compile_probe(gains, mesh),
        losses=compile_probe(of_loss(probes.loss_at_scales), mesh),
        hessian_product=compile_probe(of_loss(probes.hessian_product), mesh),
    )


def _by_block(network: Network, numbers: np.ndarray) -> list:
    """Returns numbers of residual sums by block: a number, None or several."""
    rows = (sums for _, sums in by_block(network, numbers))
    return [sums if len(sums) > 1 else next(iter(sums), None) for sums in rows]


def _json_values(value: Any) -> Any:
    """Returns JSON values: lists for arrays, None for what is not finite."""
    match value:
        case dict():
            return {name: _json_values(x) for name, x in value.items()}
        case list() | tuple():
            return [_json_values(x) for x in value]
        case jax.Array() | np.ndarray() | np.generic():
            return _json_values(np.asarray(value).tolist())
        case float() if not math.isfinite(value):
            return None
    return value
