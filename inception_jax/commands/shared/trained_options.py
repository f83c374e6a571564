"""The options that name a trained network: a run, or a weight file."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the network')
    which = group.add_mutually_exclusive_group(required=True)
    which.add_argument('--workdir', type=Path, metavar='DIR', help='of a run')
    which.add_argument(
        '--weights',
        type=Path,
        metavar='FILE',
        help='of a weight file, which convert writes',
    )
    group.add_argument(
        '--network', metavar='NAME', help='what the weights must be of, for certainty'
    )
    group.add_argument(
        '--step',
        type=int,
        metavar='N',
        help='of a run, after how many steps, made again from the checkpoint before; '
        'the newest checkpoint if not given',
    )


def add_crops(parser: argparse.ArgumentParser) -> None:
    """Declares how many crops of an image the network sees."""
    parser.add_argument(
        '--crops',
        type=int,
        choices=(1, 10, 12, 144),
        default=1,
        help='of each image; their softmax is averaged (%(default)s)',
    )


def open_trained(options: argparse.Namespace):
    """Returns the network with its values, and what paths of its files begin with.

    Raises:
      ValueError: there is no such run or file, or an option is of the other one.
    """
    if options.weights and options.step is not None:
        raise ValueError('--step is of a run, and --weights of none; leave it out')
    if options.workdir and options.network:
        raise ValueError('--network goes with --weights, and a run has its own')
    from inception_jax.training.states import trained_run
    from inception_jax.weights.trained import load_weights

    if options.weights:
        found = load_weights(options.weights, options.network)
        return found, f'{options.weights.with_suffix("")}-'
    return trained_run(options.workdir, options.step), f'{options.workdir}/'
