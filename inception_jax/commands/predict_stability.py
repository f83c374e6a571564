"""predict-stability: predict the stability of a network before training."""

import argparse
import json
from collections.abc import Callable

from inception_jax.commands.shared.cli import add_format, print_now
from inception_jax.config.files import load_config
from inception_jax.config.overrides import parse_overrides

HELP = 'predict whether the logits layer will overshoot'
DETAILS = (
    'The command makes forward passes at step 0 and trains nothing. The ratio compares '
    'the curvature of the logits layer with the largest one that the optimizer can '
    'descend: above 1 the layer overshoots.'
)
EXAMPLES = (
    '--config configs/stability.py --config.hparams.residual_scale=1.0',
    '--config configs/imagenet.py:inception_resnet_v2 --config.data.source=synthetic '
    '--config.network.classes=1000 --batches 1',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        'the network',
        'Any field of the config is an option, e.g. --config.network.width=0.5.',
    )
    group.add_argument(
        '--config',
        required=True,
        metavar='FILE[:NETWORK]',
        help='config file, and the network to train if the file takes one (required)',
    )
    group.add_argument(
        '--batches',
        type=int,
        default=4,
        metavar='N',
        help='number of first batches to look at (default: %(default)s)',
    )
    group.add_argument(
        '--whole',
        action='store_true',
        help='search for the largest curvature of the whole network too; it takes some '
        'tens of gradients',
    )
    group = parser.add_argument_group('the output')
    add_format(group, 'text', 'json', of='prediction')


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Predicts the stability of the network of a config."""
    config = load_config(options.config, **parse_overrides(rest))
    from inception_jax.lab.predict_stability import checked_run, predict_run

    prepared = checked_run(config, options.batches)

    def work() -> int:
        prediction = predict_run(prepared, batches=options.batches, whole=options.whole)
        is_json = options.format == 'json'
        print_now(json.dumps(prediction.to_json()) if is_json else str(prediction))
        return 0

    return work
