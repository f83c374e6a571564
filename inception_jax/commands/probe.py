"""probe: ask the network of a run about its scales, its blocks and its curvature."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import run_options
from inception_jax.commands.shared.cli import print_now, refuse_arguments

HELP = 'measure scale gradients, gains and curvature of a run'
DETAILS = (
    'The command computes everything on the batch of the next step, and writes '
    'probe-STEP.json into the run.'
)
EXAMPLES = (
    '--workdir runs/unscaled',
    '--workdir runs/unscaled --step 45 --ask scales --factors 0,0.1,0.3,1',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the run')
    run_options.arguments(group)
    group.add_argument(
        '--step',
        type=int,
        metavar='N',
        help='step of the run to probe (default: the newest checkpoint)',
    )
    group = parser.add_argument_group(
        'the questions',
        'scale_gradient: dLoss/dScale of each residual block. jacobian: the factor by '
        'which each block stretches a small change. scales: the loss with all residual '
        'scales multiplied by a factor. curvature: the largest eigenvalue of the '
        'Hessian, and the edge of stability.',
    )
    group.add_argument(
        '--ask',
        default='scale_gradient,jacobian,scales,curvature',
        metavar='QUESTIONS',
        help='questions, separated by commas (default: %(default)s)',
    )
    group.add_argument(
        '--factors',
        default='0,0.1,0.3,1,2',
        metavar='NUMBERS',
        help='factors on all residual scales, for the question scales (default: '
        '%(default)s)',
    )
    group.add_argument(
        '--samples',
        type=int,
        default=16,
        metavar='N',
        help='number of random changes for each block, for the question jacobian '
        '(default: %(default)s)',
    )
    group.add_argument(
        '--seed',
        type=int,
        default=0,
        metavar='N',
        help='seed of the random numbers (default: %(default)s)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Asks the network of a run at one of its steps."""
    refuse_arguments(rest)
    factors = _numbers(options.factors)
    from inception_jax.lab.probe import ProbeOptions, probe_state
    from inception_jax.runtime.files import write_json
    from inception_jax.training.states import state_at

    ask = tuple(name.strip() for name in options.ask.split(','))
    questions = ProbeOptions(ask, factors, options.samples, options.seed)
    prepared = run_options.open_named_run(options)
    state = state_at(prepared, options.step)

    def work() -> int:
        step, network = int(state.step), prepared.network.name
        print_now(f'probing {network} at step {step:,}: {", ".join(ask)}\n')
        answers = probe_state(prepared, state, questions)
        path = prepared.workdir / f'probe-{step}.json'
        write_json(path, answers.to_json())
        print_now(f'{answers}\n\n{path}')
        return 0

    return work


def _numbers(option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in option.split(','))
    except ValueError as error:
        raise ValueError(
            f'--factors {option}; expected numbers with commas, e.g. 0,0.3,1'
        ) from error
