"""Ops in one line."""

import functools

import pytest

from inception_jax.networks import (
    avg_pool,
    chain,
    concat,
    conv,
    expand,
    max_pool,
    residual,
)
from inception_jax.networks.describe.notation import notation, span, wrapped
from inception_jax.networks.ops import (
    Conv,
    Dense,
    Dropout,
    Module,
    Norm,
    Residual,
    Scale,
    global_pool,
)
from inception_jax.networks.paper import INCEPTION_RESNET_V2
from inception_jax.networks.released import INCEPTION_V4_SLIM


class Attention:
    def __init__(self, heads=1):
        self.heads = heads


def custom(make):
    return Module(make, params=lambda shape: 0, macs=lambda shape: 0)


@pytest.mark.parametrize(
    ('op', 'text'),
    [
        (chain(conv(64), conv(96, 3)), '1x1/64 -> 3x3/96'),
        (conv(32, 3, 2, 'VALID'), '3x3/32 s2V'),
        (conv(32, 3, 1, 'VALID'), '3x3/32 V'),
        (conv(32, (1, 7), 2), '1x7/32 s2'),
        (max_pool(), 'max 3x3 s2V'),
        (avg_pool(), 'avg 3x3'),
        (avg_pool(5, 3, 'VALID', clip=True), 'avg 5x5 s3V clip'),
        (global_pool(), 'global avg'),
        (expand(), '1x1/linear'),
        (Conv(8, linear=True), '1x1/8 linear'),
        (conv(768, 5, stddev=0.01), '5x5/768 std 0.01'),
        (concat(conv(1), chain(conv(2), conv(3)), max_pool()), None),
        (Dense(1000), 'dense/1000'),
        (Dropout(0.2), 'dropout 0.2'),
        (chain(), 'identity'),
        (Norm(relu=False), 'batch norm'),
        (chain(conv(4), Norm(relu=True)), '1x1/4 -> batch norm relu'),
        (Scale(0.0, per_channel=False), 'learned 0.0'),
        (Scale(1e-5, per_channel=True), 'learned 1e-05 per channel'),
        (expand(stddev=0.0), '1x1/linear std 0.0'),
    ],
)
def test_notation_is_that_of_the_specification(op, text):
    assert notation(op) == (text or '[1x1/1; 1x1/2 -> 1x1/3; max 3x3 s2V]')


def test_residual_is_written_as_its_formula():
    block = residual(conv(32), chain(conv(32), conv(32, 3)), scale=0.17)
    inside = '0.17 * ([1x1/32; 1x1/32 -> 3x3/32] -> 1x1/linear)'
    assert notation(block) == f'relu(x + {inside})'
    assert notation(Residual(block.branch, 0.17, relu=False)) == f'(x + {inside})'


def test_scales_are_written_with_four_digits():
    assert notation(residual(conv(1), scale=5**-0.5)).startswith('relu(x + 0.4472 * ')


@pytest.mark.parametrize(
    ('make', 'name'),
    [
        (Attention, 'Attention'),
        (functools.partial(Attention, heads=4), 'Attention(heads=4)'),
        (functools.partial(functools.partial(Attention), 4), 'Attention(4)'),
        (lambda: Attention(2), f'lambda in {__name__}'),
        (custom, 'custom'),
    ],
)
def test_module_is_called_after_what_makes_it(make, name):
    assert notation(custom(make)) == name


@pytest.mark.parametrize('network', [INCEPTION_RESNET_V2, INCEPTION_V4_SLIM])
def test_notation_distinguishes_blocks(network):
    blocks = {block for stage in network.stages for block in stage.blocks}
    assert len({notation(block) for block in blocks}) == len(blocks) >= 6


def test_names_of_neighbours_become_a_span():
    assert span(['stem']) == 'stem'
    assert span(['a_9', 'a_10', 'a_11']) == 'a_9..a_11'
    assert span(['c_1', 'c_3']) == 'c_1, c_3'
    assert span(['c_1', 'c_3', 'c_5', 'c_7']) == 'c_1, c_3, .., c_7'


def test_wrapped_breaks_between_ops_and_loses_none():
    text = notation(INCEPTION_RESNET_V2.stages[0].blocks[0])
    lines = wrapped(text, 40)
    assert ' '.join(lines) == text
    assert max(map(len, lines)) <= 40
    assert all(line.startswith('->') or line.endswith(';') for line in lines[1:-1])
