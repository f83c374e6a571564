"""The sections of a config: their fields, and which of them a resume may change."""

import dataclasses

from inception_jax.config.experiment import (
    MAY_CHANGE_ON_RESUME,
    SECTIONS,
    completed,
    config_fields,
)
from inception_jax.config.files import config_with, load_config
from inception_jax.networks.network import Network


def test_these_fields_may_change_when_a_run_resumes():
    assert sorted(MAY_CHANGE_ON_RESUME) == [
        'data.data_dir',
        'data.on_unreadable',
        'data.workers',
        'parallel.mode',
        'parallel.parameter_devices',
        'recipe.execution',
        'recipe.init_from',
        'recipe.remat',
        'run.checkpoint_every_epochs',
        'run.checkpoint_every_minutes',
        'run.diagnose_every_steps',
        'run.diagnose_first_steps',
        'run.epochs',
        'run.evaluate_every_epochs',
        'run.keep_best',
        'run.keep_checkpoints',
        'run.log_every_steps',
        'verdicts.on_dead',
        'verdicts.on_diverged',
    ]


def test_a_config_sets_every_field_that_the_run_does_not_compute():
    names = {name for target in SECTIONS.values() for name in config_fields(target)}
    assert {'seed', 'learning_rate', 'width', 'mode'} <= names
    assert 'steps_per_epoch' not in names
    assert list(config_fields(SECTIONS['hparams']))[-1] == 'ema_decay'


def test_missing_fields_of_a_config_get_their_defaults_in_this_order():
    config = {name: {} for name in SECTIONS if name != 'parallel'}
    config['network'] = {'name': 'inception_v4'}
    full = completed(config)
    assert list(full) == list(SECTIONS)
    assert full['network'] == {
        'width': 1.0,
        'depth': 1.0,
        'auxiliary': None,
        'rule': None,
        'extra_batch_norm': False,
        'classes': None,
        'input_size': None,
        'crop_fraction': None,
        'square_crop': None,
        'interpolation': None,
        'pixel_range': None,
        'dropout': None,
        'batch_norm_gamma': None,
        'batch_norm_epsilon': None,
        'name': 'inception_v4',
    }
    assert [*full['network']][:2] == ['width', 'depth']
    assert [*full['recipe']] == [
        'accumulation',
        'remat',
        'skip_non_finite',
        'init_from',
        'new_head',
        'frozen',
        'rate_factors',
        'execution',
    ]
    assert full['hparams'] == {}
    assert full['run'] == {
        'checkpoint_every_minutes': 0.0,
        'keep_best': 0,
        'diagnose_first_steps': 20,
    }
    assert full['parallel'] == {
        'mode': 'jit',
        'batch_norm': 'global',
        'parameter_devices': 1,
    }


def test_a_config_can_set_every_number_of_a_network():
    fields = {field.name for field in dataclasses.fields(Network)}
    assert fields - {'name', 'stages', 'auxiliary', 'images'} <= {
        *config_fields(SECTIONS['network'])
    }


def test_changes_are_by_name_by_section_or_by_dotted_name():
    config = load_config('configs/quickstart.py', residual_scale=0.5, run={'seed': 3})
    changed = config_with(config, **{'network.width': {'stem': 0.5}})
    assert changed['hparams']['residual_scale'] == 0.5
    assert changed['run']['seed'] == 3
    assert changed['network']['width'] == {'stem': 0.5}
    assert config['network']['width'] == 0.25
