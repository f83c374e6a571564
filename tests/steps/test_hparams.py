"""Hyper-parameters: numbers that may be left out, and numbers that may not."""

import chex
import jax
import pytest
from helpers.steps import NUMBERS
from helpers.tiny import NET

from inception_jax.steps.hparams import OPTIONAL, hparams_for

NEEDED = {name: x for name, x in NUMBERS.items() if name not in OPTIONAL}


def test_schedules_that_are_not_used_need_no_numbers():
    shorter, full = (hparams_for(NET, **(n | NEEDED)) for n in ({}, OPTIONAL))
    chex.assert_trees_all_equal(shorter, full)
    assert len(jax.tree.leaves(shorter)) == len(NEEDED) + len(OPTIONAL)


def test_a_missing_number_is_named():
    numbers = {name: x for name, x in NEEDED.items() if name != 'momentum'}
    with pytest.raises(ValueError, match='the hparams lack momentum; give'):
        hparams_for(NET, **numbers)


def test_an_unknown_number_is_named():
    with pytest.raises(ValueError, match=r'momentun.*did you mean momentum'):
        hparams_for(NET, **NEEDED, momentun=0.9)
