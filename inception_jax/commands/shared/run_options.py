"""Options that name a run on disk."""

import argparse

from inception_jax.commands.shared.cli import path_option


def arguments(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        '--workdir',
        required=True,
        type=path_option,
        metavar='DIR',
        help='folder of the run (required)',
    )
    add_network(parser)


def add_network(parser: argparse._ActionsContainer) -> None:
    """Declares the option that lets a command import a network of the user's own."""
    parser.add_argument(
        '--network',
        metavar='NAME',
        help='fail unless the folder has this network. A network of your own needs the '
        'option, because its code runs (default: any network of describe)',
    )


def open_named_run(options: argparse.Namespace):
    """Returns the prepared run of --workdir.

    Raises:
      ValueError: the folder holds no run, or --network does not name its network.
    """
    from inception_jax.training.states import open_run

    return open_run(options.workdir, options.network)
