"""probe: ask the network of a run about its scales, its blocks and its curvature."""

import argparse
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared.cli import refuse_arguments

HELP = 'ask a network about its scales, blocks and curvature'
EPILOG = (
    'Questions: scale_gradient (dLoss/dScale of every residual block), jacobian (by '
    'how much blocks stretch a small change), scales (the loss with all scales times '
    'some factors), curvature (the largest eigenvalue of the Hessian beside the edge '
    'of stability). They are asked on the batch of the next step.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--workdir', required=True, type=Path, metavar='DIR', help='the run'
    )
    parser.add_argument(
        '--step',
        type=int,
        metavar='N',
        help='after how many steps; by default at the newest checkpoint',
    )
    parser.add_argument(
        '--ask',
        default='scale_gradient,jacobian,scales,curvature',
        metavar='QUESTIONS',
        help='some of them, with commas; all by default',
    )
    parser.add_argument(
        '--factors',
        default='0,0.1,0.3,1,2',
        metavar='NUMBERS',
        help='what all scales are multiplied by (%(default)s)',
    )
    parser.add_argument(
        '--samples',
        type=int,
        default=16,
        metavar='N',
        help='random changes for each block (%(default)s)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, metavar='N', help='theirs (%(default)s)'
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Asks the network of a run at one of its steps."""
    refuse_arguments(rest)
    factors = _numbers(options.factors)
    from inception_jax.lab import probe
    from inception_jax.training.resume import newest_state
    from inception_jax.training.states import open_run, state_at

    ask = tuple(name.strip() for name in options.ask.split(','))
    questions = probe.ProbeOptions(ask, factors, options.samples, options.seed)
    prepared = open_run(options.workdir)
    if options.step is None:
        state, _ = newest_state(prepared)
    else:
        state, _ = state_at(prepared, options.step)
    return lambda: _work(prepared, state, questions)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(','))
    except ValueError as error:
        raise ValueError(
            f'--factors {text}; expected numbers with commas, e.g. 0,0.3,1'
        ) from error


def _work(prepared, state, questions) -> int:
    from inception_jax.lab import probe, probe_text
    from inception_jax.runtime.files import write_json

    name, asked = prepared.network.name, ', '.join(questions.ask)
    print(f'asking {name} at step {int(state.step):,}: {asked}\n', flush=True)
    found = probe.probe(prepared, state, questions)
    path = prepared.workdir / f'probe-{found["step"]}.json'
    write_json(path, found)
    print(f'{probe_text.probe_text(found)}\n\n{path}')
    return 0
