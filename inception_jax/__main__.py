"""The commands. Each parses its arguments here and calls one function below.

Imports stand inside the commands, so that help is instant and a command loads only what
it needs.
"""

import argparse
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import inception_jax
from inception_jax.networks import NETWORKS
from inception_jax.version import VERSION


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        self.exit(2, f'{self.prog}: {message}; see {self.prog} --help\n')


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    A command first does all that a user's mistake can stop, and says so by ValueError;
    what it returns is the work itself, in which an error is ours.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    sys.path.append(os.getcwd())
    try:
        work = options.command(options, rest)
    except BrokenPipeError:
        # The reader of a table has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        line = ' '.join(str(error).split())
        print(f'inception-jax {options.name}: {line}', file=sys.stderr)
        return 2
    try:
        return work() if work else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='inception-jax', description=inception_jax.__doc__)
    parser.add_argument('--version', action='version', version=VERSION)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')

    one = commands.add_parser(
        'describe', allow_abbrev=False, help='print, draw or compare networks'
    )
    one.set_defaults(command=describe, name='describe')
    one.add_argument(
        'network',
        help=f'one of {", ".join(NETWORKS)}; or yours, as in my_lab.nets:NET',
    )
    one.add_argument('--against', metavar='OTHER', help='print the difference')
    one.add_argument('--input-size', type=int, metavar='N', help='side of the image')
    one.add_argument('--classes', type=int, metavar='N', help='number of classes')
    one.add_argument('--format', choices=('table', 'json', 'svg'), default='table')
    one.add_argument('--block', metavar='NAME', help='draw one block or stage (svg)')
    one.add_argument('--output', type=Path, metavar='FILE', help='write to a file')

    one = commands.add_parser(
        'train',
        allow_abbrev=False,
        help='train a network, or go on with a run',
        epilog='Any field of the config can be set: --config.run.epochs=20',
    )
    one.set_defaults(command=train, name='train')
    one.add_argument(
        '--config',
        required=True,
        metavar='FILE[:NETWORK]',
        help='a config, and the network if not its own',
    )
    one.add_argument(
        '--workdir',
        required=True,
        type=Path,
        metavar='DIR',
        help='where the run lives; a run that is there goes on',
    )
    return parser


def describe(options: argparse.Namespace, rest: list[str]) -> None:
    """Prints a network as a table, as JSON or as a drawing, or two as a difference."""
    from inception_jax.networks import choose
    from inception_jax.networks.shapes import measure

    _refuse(rest)
    if options.block and options.format != 'svg':
        raise ValueError('--block goes with --format svg')
    if options.against and options.format != 'table':
        raise ValueError('--against prints text; leave --format out')
    changes = {'input_size': options.input_size, 'classes': options.classes}
    network = choose(options.network, **changes)
    measure(network)
    if options.against:
        from inception_jax.networks.diff import diff

        text = diff(network, choose(options.against, **changes))
    elif options.format == 'svg':
        from inception_jax.networks.drawing import draw

        text = draw(network, options.block)
    elif options.format == 'json':
        import json

        from inception_jax.networks.table import summary

        text = json.dumps(summary(network), indent=2)
    else:
        from inception_jax.networks.table import table

        text = table(network)
    if options.output:
        options.output.write_text(text.rstrip() + '\n')
    else:
        print(text.rstrip(), flush=True)


def train(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Trains the network of a config in a workdir, or goes on with the run in it."""
    from inception_jax.settings import experiment

    _refuse([argument for argument in rest if not argument.startswith('--config.')])
    chosen = experiment(_config(options.config, rest))
    os.environ.setdefault(
        'JAX_COMPILATION_CACHE_DIR', str(Path.home() / '.cache' / 'inception_jax')
    )
    from inception_jax import summaries
    from inception_jax.prepare import prepare
    from inception_jax.train import start, train

    prepared = prepare(chosen, options.workdir)
    state, seen = start(prepared)

    def work() -> int:
        print(summaries.header(prepared, int(state.step)), flush=True)
        outcome = train(prepared, state, seen)
        print(summaries.finish(prepared, outcome))
        return 128 + outcome.signal if outcome.signal else 0

    return work


def _config(path: str, overrides: list[str]) -> dict:
    """Loads a config file and sets the fields of `--config.section.field=value`.

    Raises:
      ValueError: there is no such file or field, or a value has the wrong type.
    """
    from absl import flags
    from ml_collections import config_flags

    from inception_jax.settings import check_overrides

    config = _get_config(path)
    check_overrides(
        config.to_dict(), [a.removeprefix('--config.').split('=')[0] for a in overrides]
    )
    values, argv = flags.FlagValues(), ['train', *overrides]
    config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=argv)
    try:
        values(argv)
    except (flags.Error, TypeError) as error:
        raise ValueError(error) from error
    return values.config.to_dict()


def _get_config(path: str):
    """Calls `get_config` of FILE, with ARG if the path is FILE:ARG."""
    from ml_collections import ConfigDict

    file, *argument = path.split(':', 1)
    spec = importlib.util.spec_from_file_location('config', file)
    if spec is None or not Path(file).is_file():
        raise ValueError(f'--config {file}: there is no such Python file; see configs/')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(*argument)
    except Exception as error:
        kind = type(error).__name__
        raise ValueError(
            f'--config {path} cannot be loaded: {kind}: {error}'
        ) from error
    if not isinstance(config, Mapping | ConfigDict):
        raise ValueError(
            f'get_config of {file} returns a {type(config).__name__}; expected a '
            'ConfigDict'
        )
    return ConfigDict(config)


def _refuse(rest: list[str]) -> None:
    if rest:
        raise ValueError(f'unknown argument {rest[0]}; see --help')


if __name__ == '__main__':
    sys.exit(main())
