"""The reference of the config: every field, with its meaning."""

import dataclasses

from inception_jax.config.experiment import MAY_CHANGE_ON_RESUME, SECTIONS
from inception_jax.config.reference import config_reference

FIELDS = {f'{field.section}.{field.name}': field for field in config_reference()}


def test_every_field_has_a_meaning_in_words():
    assert {field.section for field in FIELDS.values()} == set(SECTIONS)
    for name, field in FIELDS.items():
        assert len(field.meaning.split()) > 2, name
        assert not field.meaning.endswith('.'), name
        assert field.type, name


def test_fields_have_their_defaults_and_say_which_may_change():
    width, seed = FIELDS['network.width'], FIELDS['run.seed']
    assert (width.type, width.default) == ('float or float by name', 1.0)
    assert seed.default is dataclasses.MISSING
    may_change = {name for name, field in FIELDS.items() if field.may_change}
    assert may_change == MAY_CHANGE_ON_RESUME


def test_meanings_come_from_the_docstrings():
    assert FIELDS['recipe.optimizer'].meaning == 'rmsprop or momentum'
    assert FIELDS['run.keep_best'].meaning.endswith('evaluation saves a checkpoint')
