"""train --show-config and describe --config: what a config says, before training."""

import json

import pytest
from helpers.paths import QUICKSTART

from inception_jax.__main__ import main
from inception_jax.config.experiment import experiment
from inception_jax.config.files import load_config
from inception_jax.config.reference import config_reference

CONFIG = f'--config={QUICKSTART}'


def test_each_field_has_its_value_and_its_meaning(capsys):
    assert main(['train', '--show-config', CONFIG, '--config.run.epochs=3']) == 0
    lines = [' '.join(x.split()) for x in capsys.readouterr().out.splitlines()]
    assert '* width 0.25 (default: 1.0)' in lines
    assert 'epochs 3' in lines
    meanings = [field.meaning for field in config_reference()]
    assert [x for x in meanings if x not in ' '.join(lines)] == []


def test_as_json_it_is_the_config_that_a_run_records(capsys):
    assert main(['train', '--show-config', CONFIG, '--format=json']) == 0
    shown = json.loads(capsys.readouterr().out)
    expected = experiment(load_config(QUICKSTART)).config
    assert shown == json.loads(json.dumps(expected))


def test_a_wrong_field_is_refused_before_anything_is_shown(capsys):
    assert main(['train', '--show-config', CONFIG, '--config.run.epoch=3']) == 2
    printed = capsys.readouterr()
    assert printed.out == ''
    assert 'did you mean config.run.epochs?' in printed.err


def test_the_network_of_a_config_has_the_classes_of_its_data(capsys):
    assert main(['describe', CONFIG, '--config.network.width=0.5']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('inception_resnet_v1: 75x75x3, 10 classes')
    assert lines[-4:] == [
        'input              75x75 pixels',
        'final feature map  1x1, 896 filters',
        'parameters         2,192,674',
        'multiply-adds      38.1 M an image',
    ]


def test_a_config_whose_data_is_missing_is_described_with_a_note(capsys):
    change = '--config.data.source=folder:nowhere'
    assert main(['describe', CONFIG, change, '--format=json']) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)['blocks'][-1]['output'][-1] == 1000
    assert 'the number of classes is that of the network' in printed.err


@pytest.mark.parametrize(
    ('command', 'message'),
    [
        ('describe', 'name one network, or one with --config FILE'),
        (f'describe inception_v4 {CONFIG}', 'name one network'),
        (f'describe {CONFIG} --classes 3', 'use --config.network.classes=3'),
        (f'describe {CONFIG} --config.network.width=x', "config.network.width is 'x'"),
        ('train --show-config', '--workdir DIR is missing'),
        (f'train --workdir x {CONFIG} --format json', 'needs --show-config or --dry'),
        (f'train --show-config {CONFIG} --largest-batch', 'need --dry-run'),
    ],
)
def test_options_that_do_not_fit_are_one_line(command, message, capsys):
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
