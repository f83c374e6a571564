"""Verdicts on invented and on recorded traces."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_jax.stability.verdicts import (
    StepSigns,
    Thresholds,
    Verdict,
    VerdictState,
    diverged,
    first_silent,
    judge,
    judge_evaluation,
    judge_records,
    not_finite,
)

LIMITS = Thresholds(dead_share=0.99, dying_share=0.5, window=4)
OURS = Thresholds(dead_share=0.95, dying_share=0.5, window=50)


def verdict(shares, losses=None, limits=LIMITS):
    watch = VerdictState()
    for step, share in enumerate(shares, 1):
        loss = losses[step - 1] if losses else 2.3
        watch = judge(watch, step, StepSigns(loss, share), limits)
    return watch.verdict


def test_a_run_without_silent_channels_is_alive():
    assert verdict([0.0] * 10) == Verdict('alive', trend=0.0)


def test_death_is_dated_from_the_first_step_of_the_stretch():
    dead = verdict([0.2, 0.995, 0.5, 0.99, 1.0, 1.0, 1.0, 0.999, 1.0])
    assert (dead.verdict, dead.step) == ('dead', 4)


def test_a_death_is_confirmed_after_a_window():
    dying = verdict([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert (dying.verdict, dying.death, dying.confirmed) == ('dying', 4, None)
    dead = verdict([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert (dead.verdict, dead.death, dead.confirmed) == ('dead', 4, 7)


def test_a_dead_run_that_recovers_is_alive():
    assert verdict([1.0] * 6).verdict == 'dead'
    assert verdict([1.0] * 6 + [0.0] * 4) == Verdict('alive', trend=0.0)


def dates(shares):
    """Returns the dates of a run after each step."""
    state, result = VerdictState(), []
    for step, share in enumerate(shares, 1):
        state = judge(state, step, StepSigns(2.3, share), OURS)
        verdict = state.verdict
        result.append((verdict.onset, verdict.death, verdict.confirmed))
    return result


def test_a_single_step_below_the_threshold_changes_no_date():
    after = dates([0.0] * 29 + [0.97] * 170 + [0.949] + [0.97] * 100)
    assert after[28] == (None, None, None)
    assert after[78:] == [(30, 30, 79)] * 222


def test_a_death_ends_only_below_the_lower_threshold():
    dead = [0.97] * 100
    assert dates(dead + [0.91] * 50)[-1] == (1, 1, 50)
    assert dates(dead + [0.89] * 50)[-1] == (1, None, None)
    assert dates(dead + [0.46] * 50)[-1] == (1, None, None)
    assert dates(dead + [0.44] * 50)[-1] == (None, None, None)


def test_a_second_death_has_dates_of_its_own():
    shares = [0.97] * 100 + [0.0] * 50 + [0.97] * 100
    assert dates(shares)[99] == (1, 1, 50)
    assert dates(shares)[149] == (None, None, None)
    assert dates(shares)[-1] == (151, 151, 200)


def test_skipped_steps_count_in_the_dates():
    state = VerdictState()
    for step in range(1, 101):
        signs = StepSigns(2.3, 0.97 if step > 30 else 0.0, skipped=step % 7 == 0)
        state = judge(state, step, signs, OURS)
    assert (state.verdict.onset, state.verdict.death) == (31, 31)


@given(st.lists(st.floats(0.0, 1.0), max_size=300))
def test_dates_are_in_order_and_never_change_within_a_stretch(shares):
    before = (None, None, None)
    for step, after in enumerate(dates(shares), 1):
        onset, death, confirmed = after
        assert death is None or onset <= death <= step
        assert confirmed is None or death + OURS.window <= confirmed + 1 <= step + 1
        for old, new in zip(before, after, strict=True):
            assert None in (old, new) or old == new
        before = after


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=200))
def test_records_of_single_steps_have_the_verdict_of_the_run(shares):
    state = VerdictState()
    for step, share in enumerate(shares, 1):
        state = judge(state, step, StepSigns(2.3, share), OURS)
    records = [{'step': i, 'dead_channels': x} for i, x in enumerate(shares, 1)]
    assert judge_records(records, OURS) == state


def test_dying_has_a_trend_in_points_per_100_steps():
    dying = verdict([0.0, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert dying.verdict == 'dying'
    assert dying.step == 4
    assert dying.trend == pytest.approx(1000.0)
    assert '+1000.0 percentage points' in str(dying)
    assert verdict([0.9, 0.8, 0.7, 0.6]).trend == pytest.approx(-1000.0)


def test_all_zeros_for_a_step_is_a_threshold_too():
    strict = Thresholds(dead_share=1.0, dying_share=1.0, window=1)
    assert verdict([0.5, 0.999], limits=strict).verdict == 'alive'
    dead = verdict([0.5, 1.0], limits=strict)
    assert (dead.verdict, dead.step, dead.confirmed) == ('dead', 2, 2)


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_divergence_is_the_first_step_that_is_not_finite_and_stays(bad):
    losses = [2.0, bad, 2.0, 2.0]
    assert verdict([0.0] * 4, losses) == Verdict('diverged', 2, layer='loss')


def test_divergence_names_the_first_tensor():
    watch = judge(VerdictState(), 7, StepSigns(2.0, 0.0, 'gradient of c_1'), LIMITS)
    assert watch.verdict == Verdict('diverged', 7, layer='gradient of c_1')


def test_the_first_tensor_is_forward_then_backward():
    def bad(finite, norms):
        blocks = ('stem', 'a', 'logits')
        return not_finite(blocks, finite=finite, gradient_norm=norms)

    yes = (True, True, True)
    assert bad(yes, (1.0, 2.0, 0.0)) is None
    assert bad((True, False, False), (math.nan,) * 3) == ('batch statistics of a')
    assert bad(yes, (math.inf, math.nan, 1.0)) == 'gradient of a'


def diagnosis(*shares):
    return {'blocks': ['stem', 'a', 'b', 'logits'], 'dead_channels': [*shares, None]}


def test_the_block_that_went_silent_first_and_stayed_so_is_named():
    records = [
        diagnosis(0.99, 0.0, 0.0),
        diagnosis(0.0, 0.0, 1.0),
        diagnosis(0.0, 1.0, 1.0),
    ]
    assert first_silent(records, LIMITS) == 'b'
    assert first_silent(records[:1] + records[2:], LIMITS) == 'a'
    assert first_silent(records[:1] * 2 + [diagnosis(0.0, 0.0, 0.0)], LIMITS) is None
    assert first_silent([], LIMITS) is None


TRACES = json.loads(Path(__file__).with_name('traces.json').read_text())['runs']


def verdicts_of(run, limits=OURS):
    """Returns the verdicts of a recorded run, each with the step that brought it."""
    trace, watch, changes = TRACES[run], VerdictState(), []
    columns = (trace[name] for name in ('loss', 'dead_channels', 'gradient_norm'))
    for step, (loss, share, norm) in enumerate(zip(*columns, strict=True), 1):
        before = watch.verdict.verdict if changes else None
        bad = 'a gradient' if norm is None else None
        watch = judge(watch, step, StepSigns(loss, share, bad), limits)
        if watch.verdict.verdict != before:
            changes.append((step, watch.verdict.verdict, watch.verdict.step))
    return changes


def test_a_real_network_lives_with_a_tenth_and_dies_with_1():
    assert verdicts_of('scale 0.1') == [(1, 'alive', None)]
    # About half of the channels are silent from step 40 on.
    assert verdicts_of('scale 0.3') == [
        (1, 'alive', None),
        (58, 'dying', 49),
        (84, 'alive', None),
    ]
    assert verdicts_of('scale 1') == [
        (1, 'alive', None),
        (17, 'dying', 12),
        (73, 'dead', 24),
    ]


def test_a_real_network_diverges_by_its_gradient_before_its_loss():
    assert verdicts_of('rate 10') == [(1, 'alive', None), (9, 'diverged', 9)]


def test_by_the_words_of_the_paper_no_step_of_it_gave_only_zeros():
    letter = Thresholds(dead_share=1.0, dying_share=1.0, window=1)
    assert verdicts_of('scale 1', letter) == [(1, 'alive', None)]
    assert max(TRACES['scale 1']['dead_channels']) == pytest.approx(0.9992)


def test_the_last_block_of_a_real_network_went_silent_first():
    trace = TRACES['scale 1']
    records = [
        {'blocks': trace['blocks'], 'dead_channels': shares}
        for shares in trace['dead_channels_of_blocks']
    ]
    assert first_silent(records, OURS) == 'c_5'


@pytest.mark.parametrize(
    ('dead', 'dying', 'window'),
    [(0.5, 0.9, 5), (1.1, 0.5, 5), (0.9, 0.0, 5), (1, 1, 0)],
)
def test_thresholds_that_make_no_sense_are_refused(dead, dying, window):
    with pytest.raises(ValueError, match=r'config\.verdicts'):
        Thresholds(dead, dying, window)


def test_an_evaluation_does_not_change_a_final_verdict():
    state = VerdictState(diverged(2, 'loss'))
    assert judge_evaluation(state, 8, math.nan) is state
    dead = VerdictState(Verdict('dead', 3))
    assert judge_evaluation(dead, 8, 2.0) is dead
    assert judge_evaluation(dead, 8, math.inf).verdict == diverged(8, 'evaluation')
