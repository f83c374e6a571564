"""The plan of a block, without JAX: which convolutions are computed together."""

import pytest

from inception_jax.model.block_plan import Product, plan_block
from inception_jax.networks import avg_pool, chain, concat, conv, max_pool, residual
from inception_jax.networks.blocks import (
    auxiliary_classifier,
    inception_a,
    inception_c,
    inception_resnet_a_v2,
    reduction_a_v3,
)

BOTH = {'siblings': True, 'pool_last': True}


def products(block, shape, **levers):
    """Lists the products of a plan: the names of the members, and who has a pool."""
    return [
        ([m.name for m in step.members], [bool(pool) for pool in step.pools])
        for step in plan_block(block, shape, **BOTH | levers).steps
        if isinstance(step, Product)
    ]


def test_the_four_1x1_of_figure_4_are_one_product_with_the_pool_behind_it():
    (names, pooled), *rest = products(inception_a(), (35, 35, 384))
    assert names == ['branch0_conv0', 'branch1_conv0', 'branch2_conv0', 'branch3_conv0']
    assert pooled == [True, False, False, False]
    assert not rest


def test_without_a_lever_a_1x1_stands_alone_or_behind_its_pool():
    alone = products(inception_a(), (35, 35, 384), siblings=False)
    assert [len(names) for names, _ in alone] == [1, 1, 1, 1]
    together = products(inception_a(), (35, 35, 384), pool_last=False)
    assert [names[0] for names, _ in together] == ['branch0_conv0', 'branch1_conv0']
    assert not any(pooled for _, pools in together for pooled in pools)


def test_the_linear_1x1_of_a_residual_branch_is_a_product_of_its_own():
    first, last = products(inception_resnet_a_v2(0.2), (35, 35, 384))
    assert len(first[0]) == 3
    assert last == (['linear0'], [False])


@pytest.mark.parametrize(
    ('block', 'pooled'),
    [
        (chain(avg_pool(), conv(8)), [True]),
        (chain(avg_pool(), conv(32)), [False]),  # the pool would have more channels
        (chain(avg_pool(3, 2, 'VALID'), conv(8)), [False]),  # the 1x1 a larger grid
        (chain(max_pool(3, 1, 'SAME'), conv(8)), [False]),  # not linear
        (chain(avg_pool(), concat(conv(8), conv(4))), [False, False]),  # two users
        (concat(chain(avg_pool(), conv(8)), avg_pool()), [True]),
    ],
)
def test_an_average_waits_only_where_that_is_the_same_and_cheaper(block, pooled):
    planned = products(block, (9, 9, 16))
    assert [p for _, pools in planned for p in pools] == pooled


def test_every_leaf_is_computed_once_and_behind_its_inputs():
    for block, shape in [
        (inception_a(), (35, 35, 384)),
        (inception_c(), (8, 8, 1536)),
        (reduction_a_v3(), (35, 35, 288)),
        (auxiliary_classifier(), (17, 17, 768)),
        (residual(conv(4), chain(conv(4), conv(4, 3)), scale=1.0), (9, 9, 16)),
    ]:
        for levers in ({}, {'siblings': False}, {'pool_last': False}):
            plan = plan_block(block, shape, **BOTH | levers)
            known = {plan.input}
            for step in plan.steps:
                assert known.issuperset(step.inputs)
                new = step.members if isinstance(step, Product) else [step]
                assert not known & {*new}
                known |= {*new}
            assert plan.output in known
