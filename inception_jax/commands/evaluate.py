"""evaluate: the errors of a trained network with 1, 10, 12 or 144 crops."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from inception_jax.commands.shared import error_tables, trained_options
from inception_jax.commands.shared.cli import (
    image_progress,
    mistakes_as_failures,
    path_option,
    print_now,
    refuse_arguments,
    sigterm_as_exit,
)
from inception_jax.runtime.messages import printable

HELP = 'evaluate a run or a weight file with 1, 10, 12 or 144 crops an image'
EPILOG = (
    'A run is evaluated with its EMA weights. The mean softmax of every image is saved '
    'to a file. The command ensemble computes errors of ensembles and of subsets from '
    'such files, without the networks. The same command resumes an evaluation that was '
    'interrupted.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    trained_options.arguments(parser)
    trained_options.add_crops(parser)
    parser.add_argument(
        '--source',
        metavar='SOURCE',
        help='images to evaluate on (default: the source of the run)',
    )
    parser.add_argument(
        '--split',
        metavar='NAME',
        help='split of the source (default: the evaluation split of the run)',
    )
    parser.add_argument('--data-dir', metavar='DIR', help='folder of TFDS data sets')
    parser.add_argument(
        '--batch-size',
        type=error_tables.count,
        metavar='N',
        help='crops in a batch (default: the batch size of the run, or 32 a device)',
    )
    parser.add_argument(
        '--skip-unreadable',
        action='store_true',
        help='leave out images that cannot be read, instead of stopping',
    )
    parser.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='file for the probabilities (default: probabilities-CROPS.npz in the run, '
        'or FILE-probabilities-CROPS.npz beside the weight file)',
    )
    error_tables.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Evaluates a network, or reads the finished result of the same evaluation."""
    refuse_arguments(rest)
    excluded = error_tables.read_excluded(options)
    from inception_jax.evaluation.evaluate import prepare_evaluation, run_evaluation

    trained, prefix = trained_options.open_trained(options)
    path = Path(options.output or f'{prefix}probabilities-{options.crops}.npz')
    evaluation = prepare_evaluation(
        trained,
        path,
        crops=options.crops,
        source=options.source,
        split=options.split,
        data_dir=options.data_dir,
        batch_size=options.batch_size,
        skip_unreadable=options.skip_unreadable,
    )

    def work() -> int:
        trained_options.print_weights(options, trained)
        if done := evaluation.images_done:
            print(f'resumes after {done:,} images', file=sys.stderr)
        progress = image_progress(len(evaluation.source))
        with evaluation_errors_as_failures('restore it, or add --skip-unreadable'):
            probabilities = run_evaluation(evaluation, progress)
        with mistakes_as_failures():
            print_now(error_tables.error_table(probabilities, options, excluded))
        print(printable(path), file=sys.stderr)
        return 0

    return work


@contextlib.contextmanager
def evaluation_errors_as_failures(advice: str) -> Iterator[None]:
    """Raises Stopped for an error of the images or the disk; SIGTERM saves and exits.

    `advice` is the part of the message on how to repair an image that cannot be read.
    """
    from inception_jax.data.example import Unreadable
    from inception_jax.runtime.messages import os_error_text
    from inception_jax.runtime.signals import Stopped

    try:
        with sigterm_as_exit():
            yield
    except (KeyboardInterrupt, SystemExit):
        print('stopped; the same command resumes the evaluation', file=sys.stderr)
        raise
    except Unreadable as error:
        raise Stopped(f'{error}; {advice}; the finished images are saved') from error
    except OSError as error:
        reason = f'{os_error_text(error)}; files saved before are unchanged'
        raise Stopped(reason) from error
