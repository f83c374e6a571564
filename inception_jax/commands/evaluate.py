"""evaluate: the errors of a trained network with 1, 10, 12 or 144 crops."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from inception_jax.commands.shared import error_tables, trained_options
from inception_jax.commands.shared.cli import (
    add_data_dir,
    image_progress,
    mistakes_as_failures,
    path_option,
    print_now,
    refuse_arguments,
    sigterm_as_exit,
)
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import printable

HELP = 'compute the top-1 and top-5 error of a trained network'
DETAILS = (
    'The errors are in percent, with 95 % intervals (Wilson). The network sees 1, 10, '
    '12 or 144 crops of each image, and every image counts once. The command saves '
    'the mean softmax of each image to a file, from which ensemble computes the '
    'errors of ensembles and of subsets. The same command resumes an interrupted '
    'evaluation.'
)
EXAMPLES = (
    '--workdir runs/quickstart --crops 144',
    '--weights v4.safetensors --source tfds:imagenet2012 --split validation',
    '--workdir runs/quickstart --worst-classes 3 --confusions 5',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    trained_options.arguments(parser)
    group = parser.add_argument_group('the images')
    group.add_argument(
        '--source',
        metavar='SOURCE',
        help='data set to evaluate on: digits, folder:PATH, tfds:NAME or synthetic; '
        'required with --weights (default: the data set of the run)',
    )
    group.add_argument(
        '--split',
        metavar='NAME',
        help='split of the data set (default: the evaluation split of the run)',
    )
    add_data_dir(group)
    trained_options.add_crops(group)
    group.add_argument(
        '--batch-size',
        type=error_tables.count,
        metavar='N',
        help='number of crops in a batch (default: the batch size of the run, or 32 a '
        'device)',
    )
    group.add_argument(
        '--skip-unreadable',
        action='store_true',
        help='leave out images that cannot be read (default: stop at such an image)',
    )
    error_tables.arguments(parser)
    group = parser.add_argument_group('the saved probabilities')
    group.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='file for the probabilities (default: probabilities-CROPS.npz in the run, '
        'or FILE-probabilities-CROPS.npz beside the weight file)',
    )


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
            print(f'resuming after {counted(done, "image")}', file=sys.stderr)
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
