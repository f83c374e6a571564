"""Conclusions of the studies from invented rows and curves."""

import math

import pytest
from helpers.tables import unaligned

from experiments import residual_or_not, rules, scale_and_rate, stability
from experiments.study import learned
from inception_jax.plots.paper_curves import draw_network_pairs


def row(**values):
    """Returns an invented row of a table."""
    usual = {
        'verdict': 'alive',
        'filters': 1280,
        'dead_channels': 0.05,
        'nats_learned': 0.3,
        'train_cross_entropy': math.log(10) - 0.3,
        'train_top_1_error': 70.0,
        'top_1_error': 72.0,
        'name': 'inception_resnet_v2',
        'residual_scale': 1.0,
        'learning_rate': 0.045,
        'initializer': 'he',
        'rule': None,
        'seed': 0,
    }
    return usual | values


NOTHING = {
    'train_top_1_error': 90.0,
    'nats_learned': -0.01,
    'train_cross_entropy': math.log(10) + 0.01,
}
DEAD = {'verdict': 'dead', 'dead_channels': 0.99} | NOTHING
UNKNOWN = {'verdict': 'diverged'} | dict.fromkeys(
    ('dead_channels', 'train_top_1_error', 'nats_learned')
)


def line(text, beginning):
    """Returns the only item of a list in a text that has this beginning."""
    (item,) = [row for row in text.splitlines() if row.startswith(f'* {beginning}')]
    return item


def test_a_remark_holds_if_its_interval_is_above_one_half():
    rows = [
        row(residual_scale=0.1),
        *(row(**DEAD, seed=seed) for seed in range(4)),
        row(**UNKNOWN, seed=4),
        *(row(filters=536, seed=seed) for seed in range(4)),
        *(row(learning_rate=0.0045, seed=seed) for seed in range(4)),
        *(row(clip=True, **DEAD, seed=seed) for seed in range(4)),
        *(row(extra_batch_norm=True, **NOTHING, seed=seed) for seed in range(4)),
    ]
    said = stability.remarks(rows)
    wide = '**holds here**: 5 of 5 runs, 95 % interval 57 to 100 % (4 dead, 1 diverged;'
    assert wide in line(said, 'Wide')
    assert '**holds here**: 4 of 4 runs' in line(said, 'Narrow')
    assert '**these runs cannot tell**: 1 of 1 run' in line(said, 'Scaling by')
    lower_rate = '**does not hold here**: 0 of 4 runs, 95 % interval 0 to 49 %'
    assert lower_rate in line(said, 'A lower rate')
    assert '**holds here**' in line(said, 'Clipped')
    assert '(4 alive but no better' in line(said, 'An extra')
    assert '| 1280 | 1 | 5 | 4 dead, 1 diverged | 99.0 (99.0 to 99.0) |' in unaligned(
        said
    )
    said = stability.remarks([*rows, row(seed=5), row(seed=6), row(seed=7)])
    assert '**these runs cannot tell**: 5 of 8 runs' in line(said, 'Wide')


@pytest.mark.parametrize(
    ('changes', 'answer'),
    [
        ([-2.0, -1.0, -3.0], 'holds here'),
        ([2.0, 2.3, 2.1], 'does not hold here'),
        ([2.0, -2.0, 0.5], 'these runs cannot tell'),
        ([-5.0], 'these runs cannot tell'),
    ],
)
def test_scaling_does_no_harm_if_the_interval_of_pairs_is_below_a_point(
    changes, answer
):
    rows = [
        row(residual_scale=scale, train_top_1_error=error, seed=seed, filters=536)
        for seed, change in enumerate(changes)
        for scale, error in ((1.0, 70 + seed), (0.1, 70 + seed + change))
    ]
    said = stability.remarks(rows)
    assert f'**{answer}**' in line(said, 'Scaling does no harm')
    without = stability.remarks([row(**DEAD), row(residual_scale=0.1)])
    assert '**no answer here**' in line(without, 'Scaling does no harm')


def test_a_dying_network_does_not_count_as_alive():
    rows = [row(filters=536, verdict='dying', seed=seed) for seed in range(4)]
    assert '**does not hold here**' in line(stability.remarks(rows), 'Narrow')


def test_a_scale_with_another_initialiser_is_a_remark_of_its_own():
    other = {'initializer': 'truncated_normal'}
    rows = [row(**DEAD), row(**other, **DEAD), row(residual_scale=0.1, **other)]
    said = stability.remarks(rows)
    assert '1 of 1 run, 95 % interval 21 to 100 % (1 dead' in line(
        said, 'Another initialiser'
    )
    assert '(1 alive' in line(said, 'A scale keeps one')


def test_three_errors_are_as_far_apart_as_they_can_be():
    rows = runs('inception_v3', 2.0) + runs('inception_resnet_v1', 1.0)
    for entry in rows:
        entry['curve'] = [(0.0, 80.0), (1.0, 71.0)]
    ratios = residual_or_not.ratios(rows, 'inception_v3', 'inception_resnet_v1')
    assert list(ratios) == [72, 74, 76]


def test_a_network_has_learned_if_it_beats_a_guess_in_loss_or_in_error():
    assert learned(row())
    assert not learned(row(**NOTHING))
    assert learned(row(**NOTHING | {'train_top_1_error': 76.0}))
    assert not learned(row(**NOTHING | {'train_top_1_error': 86.0}))
    assert not learned(row(**DEAD | {'train_top_1_error': 50.0}))
    assert not learned(row(**UNKNOWN))


def test_epochs_to_an_error_are_between_evaluations_at_the_first_crossing():
    curve = [(1.0, 80.0), (2.0, 60.0), (3.0, 65.0), (4.0, 40.0)]
    assert residual_or_not.epochs_to(70, curve) == 1.5
    assert residual_or_not.epochs_to(60, curve) == 2.0
    assert residual_or_not.epochs_to(62, curve) == pytest.approx(1.9)
    assert residual_or_not.epochs_to(50, curve) == pytest.approx(3.6)
    assert residual_or_not.epochs_to(80, curve) is None
    assert residual_or_not.epochs_to(39, curve) is None
    later = [(1.0, 79.0), (2.0, 52.0)]
    assert residual_or_not.shared_errors([curve, later], step=5) == [55, 60, 65, 70, 75]


def test_the_curves_of_the_paper_give_the_ratios_that_the_study_quotes():
    first, second = (
        residual_or_not.paper_ratios(*pair[:2]) for pair in residual_or_not.PAIRS
    )
    assert sorted(first) == [22, 23, 24, 25]
    assert [round(f(first.values()), 2) for f in (min, max)] == [0.52, 0.62]
    assert sorted(second) == [20, 21, 22, 23, 24, 25]
    assert [round(f(second.values()), 2) for f in (min, max)] == [0.82, 0.93]


def runs(name, *factors, **values):
    """Returns rows whose errors fall from 80 to 40 % in so many epochs."""
    return [
        row(
            name=name,
            seed=seed,
            macs=8e6,
            images_per_second=300.0,
            curve=[(0.0, 80.0), (factor, 40.0)],
            **values,
        )
        for seed, factor in enumerate(factors)
    ]


@pytest.mark.parametrize(
    ('plain', 'residual', 'word'),
    [
        ((2.0, 2.1, 1.9), (1.0, 1.0, 1.0), '**holds here**'),
        ((1.0, 1.1, 0.9), (2.0, 2.0, 2.0), '**does not hold here**'),
        ((1.0, 1.0), (2.0, 0.5), '**these runs cannot tell**'),
        ((2.0,), (1.0,), '**these runs cannot tell**'),
        ((1.0,), (), '**no answer here'),
    ],
)
def test_ratios_of_steps_give_a_verdict(plain, residual, word):
    rows = runs('inception_v3', *plain) + runs('inception_resnet_v1', *residual)
    said = residual_or_not.remarks(rows)
    assert word in line(said, 'Inception-ResNet-v1')
    assert '(Fig. 21) 0.52 to 0.62 for errors of 25 to 22 %' in said
    assert '**no answer here' in line(said, 'Inception-ResNet-v2')


def test_a_run_that_died_is_left_out_of_the_ratios(tmp_path):
    rows = runs('inception_v3', 2.0, 4.0) + runs('inception_resnet_v1', 1.0)
    rows += [runs('inception_resnet_v1', 0, 9.0, **DEAD)[1]]
    said = residual_or_not.remarks(rows)
    assert '0.50 to 40 %; 0.50 to 45 %; 0.50 to 50 %' in said
    assert 'Left out because they died: 1.' in line(said, 'Inception-ResNet-v1')
    said = unaligned(said)
    assert '| Inception-ResNet-v1 | 8.00 | 2 | 300.0 (300.0 to 300.0) |' in said
    ours, paper = list(residual_or_not.panels(rows).values())[:2]
    assert [len(curves) for curves in ours.values()] == [2, 1]
    assert [len(curves) for curves in paper.values()] == [1, 1]
    for path in draw_network_pairs(residual_or_not.panels(rows), tmp_path / 'pairs'):
        assert path.stat().st_size > 10_000


def test_rules_are_ranked_with_their_spread():
    rows = [
        *(row(rule='constant', residual_scale=1.0, seed=s, **DEAD) for s in (0, 1)),
        *(
            row(rule=rule, residual_scale=None, seed=seed, train_top_1_error=error)
            for rule, errors in {
                'constant': (70.0, 72.0),
                'skip_init': (68.0, 70.0),
                'non_residual': (75.0, 76.0),
            }.items()
            for seed, error in enumerate(errors)
        ),
        row(rule='layer_scale', residual_scale=None, **UNKNOWN),
    ]
    said = rules.remarks(rows)
    assert '2 of 2 runs, 95 % interval 34 to 100 % (2 dead; 99.0' in line(
        said, 'The constant 1'
    )
    assert '4 of 5 runs' in line(said, 'All rules')
    assert line(said, 'skip_init has') == (
        '* skip_init has the least training error of the rules that keep all alive; '
        'behind it, in points: constant 2.0 (2.0 to 2.0); these runs cannot tell '
        'whether these are behind it: non_residual 6.5 (-6.2 to 19.2).'
    )
    assert '| layer_scale | 1 | 1 diverged | unknown | unknown |' in unaligned(said)
    assert 'No rule keeps all' in rules.remarks(rows[:2])


def rate_rows(small, large, **at_1):
    """Returns the rows of four seeds; `at_1` changes scale 1 at the rate 0.0045."""
    names = scale_and_rate.CONTROLS
    return [
        entry
        for seed in range(4)
        for entry in (
            *(
                row(
                    residual_scale=scale,
                    learning_rate=rate,
                    train_top_1_error=80 - 9 * scale + 0.1 * seed,
                    seed=seed,
                )
                | (at_1 if scale == 1 and rate == 0.0045 else {})
                for scale in (0.1, 0.3, 1.0)
                for rate in scale_and_rate.RATES
            ),
            row(name=names['SMALL_START'], seed=seed, **small),
            row(name=names['LARGE_START'], seed=seed, residual_scale=0.1, **large),
        )
    ]


def test_a_lower_rate_may_do_what_a_scale_does_or_not():
    same = 'A lower rate at scale 1 gives'
    said = scale_and_rate.remarks(rate_rows({}, DEAD, train_top_1_error=60.0))
    assert '**holds here**' in line(said, 'A lower rate keeps')
    assert '**holds here**' in line(said, same)
    assert '60.0 (60.0 to 60.0) % at scale 1 (rate 0.0045, 5.0' in line(said, same)
    assert 'Scale 1 minus scale 0.1 is -19.2 (-19.5 to -19.0) points' in said
    assert 'it is the small start' in line(said, 'So')
    rows = rate_rows(DEAD, {}, **DEAD)
    for entry in rows:
        if entry['residual_scale'] == 1:
            entry |= UNKNOWN
    said = scale_and_rate.remarks(rows)
    assert '**does not hold here**' in line(said, 'A lower rate keeps')
    assert '**does not hold here**: scale 1 lives and learns at no rate' in line(
        said, same
    )
    assert 'no answer here' in line(scale_and_rate.remarks([]), same)
    nothing = rate_rows(DEAD, DEAD)
    for entry in nothing:
        entry |= NOTHING
    assert 'no answer here' in line(scale_and_rate.remarks(nothing), same)


@pytest.mark.parametrize(
    ('small', 'large', 'conclusion'),
    [
        ({}, {}, 'either is enough'),
        (DEAD, {}, 'it is the low rate'),
        (DEAD, DEAD, 'neither is enough'),
        ({'verdict': 'dying'}, DEAD, 'neither is enough'),
    ],
)
def test_the_controls_separate_the_effects_of_a_scale(small, large, conclusion):
    rows = rate_rows(small, large)
    assert conclusion in line(scale_and_rate.remarks(rows), 'So')
    one_seed = [entry for entry in rows if entry['seed'] == 0]
    assert '* So' not in scale_and_rate.remarks(one_seed)
