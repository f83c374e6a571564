"""Changes to a config by name."""

import pytest

from inception_jax.config.experiment import SECTIONS, config_fields
from inception_jax.config.overrides import (
    SYNONYMS,
    literal,
    literals,
    override,
    resolve,
)

CONFIG = {
    'network': {'name': 'v3', 'width': {'stem': 0.5}, 'depth': 0.2},
    'hparams': {'residual_scale': None, 'rate': 0.1},
    'run': {'seed': 0, 'rate': 1},
}


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('0.1', 0.1),
        ('7', 7),
        ('true', True),
        ('None', None),
        ('none', 'none'),
        ('(1, 2)', (1, 2)),
        ("{'c': 0.1}", {'c': 0.1}),
        ('folder:/a/b', 'folder:/a/b'),
        ('he', 'he'),
    ],
)
def test_a_text_is_the_value_that_it_spells(text, value):
    assert literal(text) == value
    assert type(literal(text)) is type(value)


def test_commas_part_values_but_not_inside_them():
    assert literals('0.05, 1,-2') == [0.05, 1, -2]
    assert literals('he,lecun') == ['he', 'lecun']
    assert literals("(0.1, 0.2),{'a': 1, 'b': 2},None") == [
        (0.1, 0.2),
        {'a': 1, 'b': 2},
        None,
    ]
    assert literals('a/b:c,d e') == ['a/b:c', 'd e']


def test_a_name_needs_its_section_only_where_there_are_two():
    assert resolve(CONFIG, 'seed') == 'run.seed'
    assert resolve(CONFIG, 'hparams.rate') == 'hparams.rate'
    assert resolve(CONFIG, 'width.stem') == 'network.width.stem'
    with pytest.raises(ValueError, match=r'write hparams\.rate or run\.rate'):
        resolve(CONFIG, 'rate')


@pytest.mark.parametrize('name', ['sed', 'run.sed', 'runs.seed'])
def test_an_unknown_name_gets_the_nearest(name):
    with pytest.raises(ValueError, match=r'did you mean config\.run\.seed\?'):
        resolve(CONFIG, name)


@pytest.mark.parametrize('name', ['lr', 'hparams.lr', 'run.LR'])
def test_a_name_of_other_libraries_gets_the_field(name):
    with pytest.raises(
        ValueError, match=r'did you mean config\.hparams\.learning_rate'
    ):
        resolve(CONFIG, name)


def test_every_synonym_leads_to_a_field_and_is_none():
    for name, field in SYNONYMS.items():
        section, last = field.split('.')
        assert last in config_fields(SECTIONS[section])
        assert not any(name in config_fields(target) for target in SECTIONS.values())


def test_a_name_that_is_far_off_gets_no_suggestion():
    with pytest.raises(ValueError, match=r'config\.zzz; docs/config\.md lists the fi'):
        resolve(CONFIG, 'zzz')


def test_an_override_leaves_the_config_alone_and_reaches_into_values():
    changed = override(CONFIG, {'seed': 3, 'width.stem': 1.0, 'residual_scale.c': 0.1})
    assert changed['run']['seed'] == 3
    assert changed['network']['width'] == {'stem': 1.0}
    assert changed['hparams']['residual_scale'] == {'c': 0.1}
    assert CONFIG['network']['width'] == {'stem': 0.5}
    assert CONFIG['hparams']['residual_scale'] is None


def test_a_number_has_no_parts():
    with pytest.raises(ValueError, match=r'config\.network\.depth is 0\.2'):
        override(CONFIG, {'depth.a': 1.0})
