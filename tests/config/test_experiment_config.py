"""From config files to typed settings, and the messages about mistakes."""

import re

import pytest
from helpers.configs import config
from helpers.paths import CONFIGS

from inception_jax.config.experiment import experiment
from inception_jax.config.files import load_config


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('*.py')), ids=lambda p: p.stem)
def test_every_config_is_an_experiment_with_a_head(path):
    assert experiment(config(path.stem)).network.name.startswith('inception')
    head = path.read_text().split('"""')[1]
    for word in ('Source', 'Command', 'Cost', 'Expected'):
        assert f'\n{word} ' in head
    assert f'configs/{path.name}' in head


@pytest.mark.parametrize(
    ('name', 'epochs'),
    [
        ('inception_v3', 200),
        ('inception_v4', 160),
        ('inception_resnet_v1', 200),
        ('inception_resnet_v2', 160),
    ],
)
def test_the_papers_recipe(name, epochs):
    chosen = experiment(config(f'imagenet:{name}'))
    assert chosen.network.name == name
    assert (chosen.run.batch_size, chosen.run.epochs) == (20 * 32, epochs)
    assert chosen.recipe.optimizer == 'rmsprop'
    expected = {
        'learning_rate': 0.045,
        'decay_rate': 0.94,
        'decay_epochs': 2.0,
        'rms_decay': 0.9,
        'rms_epsilon': 1.0,
        'ema_decay': 0.9999,
    }
    assert expected.items() <= chosen.hparams.items()


@pytest.mark.parametrize(
    ('path', 'repair'),
    [
        ('configs/imagenet_inception_v4.py', 'use configs/imagenet.py:inception_v4'),
        (
            'imagenet_inception_v4.py:inception_v4_slim',
            'use imagenet.py:inception_v4_slim',
        ),
        ('nowhere.py', 'the configs cifar10, imagenet, photos, quickstart, stability$'),
        ('configs/quikstart.py', r'stability; did you mean quickstart\?'),
    ],
)
def test_the_error_about_a_missing_config_says_what_to_use(path, repair):
    with pytest.raises(ValueError, match=f'no such Python file; .*{repair}'):
        load_config(path)


def test_a_config_of_the_package_is_found_by_name_where_there_is_no_such_file(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    expected = load_config(CONFIGS / 'imagenet.py:inception_v3')
    assert load_config('imagenet:inception_v3') == expected
    (tmp_path / 'imagenet').touch()
    with pytest.raises(ValueError, match='imagenet: no such Python file'):
        load_config('imagenet')


def test_the_four_networks_have_one_recipe():
    names = ('inception_v3', 'inception_v4', 'inception_resnet_v1')
    expected = config('imagenet:inception_resnet_v2')
    for name in names:
        fields = config(f'imagenet:{name}')
        fields['network']['name'] = expected['network']['name']
        fields['run']['epochs'] = expected['run']['epochs']
        assert fields == expected, name


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'run': {'epoch': 3}}, 'did you mean config.run.epochs?'),
        ({'recipe': {'optimiser': 'x'}}, 'did you mean config.recipe.optimizer?'),
        ({'network': {'input_sise': 75}}, 'did you mean config.network.input_size?'),
        ({'run': {'epochs': 'ten'}}, "config.run.epochs is 'ten'; expected float"),
        ({'run': {'batch_size': 3.5}}, 'config.run.batch_size is 3.5; expected int'),
        (
            {'hparams': {'residual_scale': 'abc'}},
            "is 'abc'; expected float or list of float or float by name or None",
        ),
        ({'run': {'batch_size': 0}}, 'must be finite and greater than 0'),
        ({'recipe': {'clip': 1}}, 'config.recipe.clip is 1; expected bool'),
        (
            {'data': {'area': (0.5,)}},
            'config.data.area is (0.5,); expected list of 2 float',
        ),
        ({'data': {'area': (0.9, 0.5)}}, 'the smaller number first'),
        ({'network': {'crop_fraction': 1.5}}, 'crop_fraction is 1.5'),
        ({'network': {'width': {'d': 2.0}}}, "no stage 'd'"),
        ({'network': {'auxiliary': True}}, 'no auxiliary head to keep'),
    ],
)
def test_a_mistake_is_named_with_its_repair(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        experiment(config(**changes))
    assert '\n' not in str(error.value)


def test_a_missing_field_and_a_missing_section_are_named():
    fields = config()
    del fields['hparams']['momentum']
    with pytest.raises(ValueError, match=r'lacks config\.hparams\.momentum'):
        experiment(fields)
    del fields['hparams']
    with pytest.raises(ValueError, match=r'lacks config\.hparams;'):
        experiment(fields)
