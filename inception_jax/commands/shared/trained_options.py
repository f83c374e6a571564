"""Options that name a trained network: a run or a weight file."""

import argparse
import sys

from inception_jax.commands.shared.cli import path_option


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the trained network')
    run_or_file = group.add_mutually_exclusive_group(required=True)
    run_or_file.add_argument(
        '--workdir',
        type=path_option,
        metavar='DIR',
        help='folder of a run (required without --weights)',
    )
    run_or_file.add_argument(
        '--weights',
        type=path_option,
        metavar='FILE',
        help='weight file from convert (required without --workdir)',
    )
    group.add_argument(
        '--network',
        metavar='NAME',
        help='fail unless the weights belong to this network. A network of your own '
        'needs the option, because its code runs (default: any network of describe)',
    )
    add_step(group)
    group.add_argument(
        '--raw',
        action='store_true',
        help='use the raw weights of the run (default: its EMA weights)',
    )


def add_step(parser: argparse._ActionsContainer) -> None:
    """Declares the step of a run."""
    parser.add_argument(
        '--step',
        type=int,
        metavar='N',
        help='step of the run whose weights are used; without a checkpoint they are '
        'recomputed from the checkpoint before it (default: the newest checkpoint)',
    )


def add_crops(parser: argparse._ActionsContainer) -> None:
    """Declares the number of crops of an image."""
    parser.add_argument(
        '--crops',
        type=int,
        choices=(1, 10, 12, 144),
        default=1,
        help='number of crops of each image; their softmax is averaged (default: '
        '%(default)s)',
    )


def open_trained(options: argparse.Namespace):
    """Returns the trained network, and the prefix of the paths of its result files.

    Raises:
      ValueError: the run or the file does not exist, or an option does not apply to
        it.
    """
    if options.weights and (options.step is not None or options.raw):
        name = '--raw' if options.raw else '--step'
        raise ValueError(f'{name} applies to a run; leave it out with --weights')
    from inception_jax.training.states import trained_run
    from inception_jax.weights.trained import load_weights

    if options.weights:
        trained = load_weights(options.weights, options.network)
        return trained, f'{options.weights.with_suffix("")}-'
    trained = trained_run(
        options.workdir, options.step, options.network, raw=options.raw
    )
    return trained, f'{options.workdir}/{"raw-" if options.raw else ""}'


def print_weights(options: argparse.Namespace, trained) -> None:
    """Prints which weights of a run are used, and of which step, to standard error."""
    if options.workdir:
        kind, step = 'raw' if options.raw else 'EMA', trained.metadata['step']
        print(f'{options.workdir}: {kind} weights of step {step:,}', file=sys.stderr)
