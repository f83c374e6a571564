"""Small random networks of every kind of op, for properties that hold for all."""

import random

from helpers.variables import SHIFT

from inception_jax.networks import Module, chain, concat, conv, expand, measure, one
from inception_jax.networks import network as network_of
from inception_jax.networks.ops import Norm, Op, Pool, Relu, Residual, Scale

SIDE = 9


def random_network(seed: int):
    """Returns the first network of a seed whose parts fit together."""
    dice = random.Random(seed)
    while True:
        stem = one('stem', chain(_op(dice, 2), _op(dice, 2)))
        gamma = dice.choice([True, False])
        net = network_of(
            'random', stem, classes=3, input_size=SIDE, batch_norm_gamma=gamma
        )
        try:
            (block, *_) = measure(net)
        except ValueError:
            continue
        # Batch norm over few values magnifies rounding, and few ops test little.
        if min(block.output[:2]) > 2 and len(block.leaves) > 5:
            return net


def _op(dice: random.Random, depth: int) -> Op:
    kinds = ('leaf', 'chain', 'concat', 'concat', 'residual')
    match dice.choice(kinds) if depth else 'leaf':
        case 'leaf':
            return _leaf(dice)
        case 'chain':
            return chain(*_ops(dice, depth - 1, dice.randint(0, 3)))
        case 'concat':
            return concat(*_ops(dice, depth - 1, dice.randint(1, 4)))
    last = dice.choice([expand(), conv(None), conv(None, (1, 3), linear=True)])
    branch = chain(_op(dice, depth - 1), last)
    return Residual(branch, dice.choice([0.3, 1.0]), dice.choice([True, False]))


def _ops(dice: random.Random, depth: int, count: int) -> list[Op]:
    return [_op(dice, depth) for _ in range(count)]


def _leaf(dice: random.Random) -> Op | Module:
    window = dice.choice([1, 1, 1, 1, 2, 3, (1, 3)])
    places = {
        'stride': dice.choice([1] * 9 + [2]),
        'padding': dice.choice(['SAME', 'SAME', 'SAME', 'VALID']),
        'clip': dice.choice([True, False]),
    }
    match dice.choice(['conv', 'linear', 'pool', 'other']):
        case 'conv':
            return conv(dice.randint(1, 4), window, **places)
        case 'linear':
            return conv(dice.randint(1, 4), window, **places, linear=True)
        case 'pool':
            sides = dice.choice([(1, 1), (2, 2), (3, 3), (2, 3), (1, 3)])
            kind, counted = dice.choice(['max', 'avg']), dice.choice([True, False])
            return Pool(kind, sides, **places, count_padding=counted)
    others = Norm(True), Norm(False), Relu(), Scale(0.7, True), Scale(0.7, False), SHIFT
    return dice.choice(others)
