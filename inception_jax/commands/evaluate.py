"""evaluate: the errors of a network, with 1, 10, 12 or 144 crops of an image."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from inception_jax.commands.shared import error_tables, trained_options
from inception_jax.commands.shared.cli import (
    image_progress,
    mistakes_as_failures,
    refuse_arguments,
    sigterm_as_exit,
)

HELP = 'the errors of a run or of weights, by 1, 10, 12 or 144 crops'
EPILOG = (
    'Of a run the averaged parameters are evaluated. The mean softmax of every image '
    'goes into a file, from which ensemble and other subsets are computed without the '
    'network. '
    'An evaluation that was interrupted goes on with the same command.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    trained_options.arguments(parser)
    trained_options.add_crops(parser)
    parser.add_argument(
        '--source',
        metavar='SOURCE',
        help='images; of a run those of its config if not given',
    )
    parser.add_argument(
        '--split',
        metavar='NAME',
        help="of the source; of a run's own the one for evaluation if not given",
    )
    parser.add_argument('--data-dir', metavar='DIR', help='where TFDS has the source')
    parser.add_argument(
        '--batch-size',
        type=error_tables.count,
        metavar='N',
        help="crops at a time; the run's, or 32 a device, if not given",
    )
    parser.add_argument(
        '--skip-unreadable', action='store_true', help='leave out what cannot be read'
    )
    parser.add_argument(
        '--output',
        type=Path,
        metavar='FILE',
        help='where the probabilities go; probabilities-CROPS.npz in the run, or '
        'FILE-probabilities-CROPS.npz beside the weights, if not given',
    )
    error_tables.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Evaluates a network, or reads what is there of the same."""
    refuse_arguments(rest)
    out = error_tables.read_excluded(options)
    from inception_jax.evaluation import evaluate

    subject, beside = trained_options.open_trained(options)
    path = Path(options.output or f'{beside}probabilities-{options.crops}.npz')
    one = evaluate.prepare_evaluation(
        subject,
        path,
        crops=options.crops,
        source=options.source,
        split=options.split,
        data_dir=options.data_dir,
        batch_size=options.batch_size,
        skip=options.skip_unreadable,
    )

    def work() -> int:
        if done := evaluate.images_done(one):
            print(f'goes on after {done:,} images', file=sys.stderr)
        with told('restore it, or add --skip-unreadable'):
            found = evaluate.evaluate(one, image_progress(len(one.asked.source)))
        with mistakes_as_failures():
            text = error_tables.errors_text(found, found.about['classes'], options, out)
        print(text)
        print(one.path, file=sys.stderr)
        return 0

    return work


@contextlib.contextmanager
def told(advice: str) -> Iterator[None]:
    """Makes a line of what comes from outside, and lets SIGTERM keep what is done.

    `advice` is for an image that cannot be read.
    """
    from inception_jax.data.example import Unreadable
    from inception_jax.runtime.signals import Stopped

    try:
        with sigterm_as_exit():
            yield
    except (KeyboardInterrupt, SystemExit):
        print('stopped; the same command goes on from what is done', file=sys.stderr)
        raise
    except Unreadable as error:
        raise Stopped(f'{error}; {advice}; what is done is kept') from error
    except OSError as error:
        raise Stopped(f'{error}; what was kept before is as it was') from error
