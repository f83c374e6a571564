"""Options that name a run on disk."""

import argparse

from inception_jax.commands.shared.cli import path_option


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--workdir',
        required=True,
        type=path_option,
        metavar='DIR',
        help='folder of the run',
    )
    add_network(parser)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declares the option that lets a command import a network of the user's own."""
    parser.add_argument(
        '--network',
        metavar='NAME',
        help='fail unless the folder names this network; needed for a network of your '
        'own, whose code then runs (default: any of the catalogue)',
    )


def open_named_run(options: argparse.Namespace):
    """Returns the prepared run of --workdir.

    Raises:
      ValueError: the folder holds no run, or --network does not name its network.
    """
    from inception_jax.training.states import open_run

    return open_run(options.workdir, options.network)
