"""Dry runs of train from the command line."""

from helpers.paths import QUICKSTART
from helpers.training import TINY

from inception_jax.__main__ import main


def dry_run(*options):
    fields = TINY | {'network.classes': 4}
    return main(
        [
            *('train', '--dry-run', f'--config={QUICKSTART}'),
            *(f'--config.{name}={value}' for name, value in fields.items()),
            *options,
        ]
    )
