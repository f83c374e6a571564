"""convert: weights of others and of runs to weight files, and back to others."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared import class_names
from inception_jax.commands.shared.cli import (
    refuse_arguments,
    sigterm_as_exit,
    unwritable_as_failure,
)

HELP = 'weights of others or of a run to a weight file, and one to a file of others'
EPILOG = (
    'A weight file is OUTPUT.safetensors, and beside it OUTPUT.json says what it is. '
    'docs/weights.md tells where files are to be had, and what each needs.'
)
# As in `weights.layouts`, which imports too much for a help page.
LAYOUTS = ('slim', 'facenet', 'keras', 'timm', 'torchvision', 'facenet_pytorch')


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'input',
        type=Path,
        metavar='INPUT',
        help='a file of others (--from), the folder of a run, or a weight file (--to)',
    )
    parser.add_argument('output', type=Path, metavar='OUTPUT', help='FILE.safetensors')
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        '--from', dest='layout', choices=LAYOUTS, help='the layout of INPUT'
    )
    way.add_argument('--to', choices=LAYOUTS, help='the layout of OUTPUT')
    parser.add_argument(
        '--network', metavar='NAME', help='what INPUT must be of; needed with --from'
    )
    parser.add_argument(
        '--auxiliary',
        action='store_true',
        help='with --from: keep the auxiliary head, to train on',
    )
    parser.add_argument(
        '--classes',
        type=Path,
        metavar='FILE',
        help='with --from: the names of the classes, a line each; those of ImageNet if '
        'there are 1,000 and none are given',
    )
    parser.add_argument(
        '--normalised',
        type=_numbers,
        nargs=2,
        metavar=('MEAN', 'STD'),
        help='with --from: the images of the weights are (x - MEAN) / STD of x from 0 '
        'to 1, by channel, and not those of the layout; e.g. 0.485,0.456,0.406 '
        '0.229,0.224,0.225',
    )
    parser.add_argument(
        '--licence', metavar='TEXT', help='what may be done with the weights'
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Reads the input, and returns what writes the output."""
    refuse_arguments(rest)
    _check(options)
    from inception_jax.weights import convert

    if options.to:
        one = _trained(options)
        convert.check_layout_export(one, options.output, options.to)
        return lambda: _export(options, one)
    if options.layout:
        source = convert.ForeignFile(
            options.input,
            options.layout,
            options.network,
            options.auxiliary,
            class_names.load_distinct_class_names('--classes', options.classes),
            options.normalised,
            options.licence,
        )
        found = convert.read_foreign(source)
    else:
        found = convert.convert_run(_trained(options), options.licence)

    def work() -> int:
        from inception_jax.weights import weight_file

        _write(options.output, lambda: weight_file.save_weights(options.output, *found))
        print(convert.weights_text(weight_file.find_weights(options.output)))
        return 0

    return work


def _numbers(text: str) -> list[float]:
    """Reads three numbers, for argparse."""
    try:
        numbers = [float(part) for part in text.split(',')]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not three numbers with commas between them'
        )
    return numbers


def _check(options: argparse.Namespace) -> None:
    """Raises ValueError if options do not go together or the output is there."""
    if options.layout and not options.network:
        raise ValueError('--from needs --network NAME: what the file is of')
    if options.normalised and min(options.normalised[1]) <= 0:
        raise ValueError('--normalised has a STD of 0 or below; expected more')
    if not options.layout:
        for name in ('auxiliary', 'classes', 'normalised'):
            if getattr(options, name):
                raise ValueError(f'--{name} goes with --from; leave it out')
    if not (options.layout or options.to or options.input.is_dir()):
        raise ValueError(
            f'{options.input} is no folder of a run; say the layout of a file by '
            '--from, or with a weight file that of the output by --to'
        )
    if options.to and options.licence:
        raise ValueError('--licence is said in weight files; leave it out with --to')
    if not options.to:
        from inception_jax.weights import weight_file

        weight_file.check_weight_ending(options.output)
    if options.network and not options.layout and options.input.is_dir():
        raise ValueError('--network goes with a file, and a run has its own')
    beside = options.output.with_suffix('.json')
    for path in (options.output, *(() if options.to else (beside,))):
        if path.exists():
            raise ValueError(f'{path} is there already; name another OUTPUT')


def _trained(options: argparse.Namespace):
    from inception_jax.training.states import trained_run
    from inception_jax.weights import trained

    if options.input.is_dir():
        return trained_run(options.input)
    return trained.trained_weights(options.input, options.network)


def _export(options: argparse.Namespace, one) -> int:
    from inception_jax.weights import convert

    count = _write(
        options.output, lambda: convert.export_layout(one, options.output, options.to)
    )
    print(f'{options.output}: {count:,} arrays by the names of {options.to}')
    return 0


def _write(path: Path, write: Callable):
    """Returns what the function returns that writes the file."""
    with unwritable_as_failure(path), sigterm_as_exit():
        path.parent.mkdir(parents=True, exist_ok=True)
        return write()
