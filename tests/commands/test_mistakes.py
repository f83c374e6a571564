"""Mistakes on the command line and in configs, made from what the code declares."""

import argparse
import itertools
import json
import random
import time
from types import SimpleNamespace

import pytest
from helpers.dry_runs import dry_run
from helpers.paths import QUICKSTART
from helpers.training import arguments

from inception_jax.__main__ import _parser, main
from inception_jax.config.experiment import SECTIONS, config_fields
from inception_jax.runtime.annotations import fits

# What a command line may hold in place of any value.
WORDS = ('', 'x', '-7', '1.5', '1e99', 'gs://b/x', '\udcff', '\x1b[2J')
# Values of fields, of all kinds and sizes.
VALUES = (
    *('0', '-1', '1', '2.5', '-0.0', '1e-60', '1e9', '1e300', '-1e300', '1e999', 'nan'),
    *('1' + 30 * '0', '9' * 5000, 'True', 'None', "''", "'x'", 'x,y', '[]', '[1,1]'),
    *('[1,2,3]', '[2,1]', '[-1,1e300]', "{'a': -1}", "{'x': 1}", '{}', "{'a': 'b'}"),
    *('(' * 200, "'\\0'", "'\\ud800'", 'gs://bucket/x', '../../x', 'no.such:NET'),
)
SECONDS = 15.0


def field_mistakes():
    """Returns (field, value, whether it fits the field's type), in a random order."""
    from inception_jax.config.overrides import literal

    cases = [
        (f'{section}.{name}', value, fits(literal(value), field.type))
        for section, target in SECTIONS.items()
        for name, field in config_fields(target).items()
        for value in VALUES
    ]
    random.Random(0).shuffle(cases)
    return cases


def option_mistakes():
    """Returns command lines with one mistake each, in a random order."""
    commands = _parser()._subparsers._group_actions[0].choices
    cases = []
    for command, parser in commands.items():
        actions = [a for a in parser._actions if a.dest != 'help']
        needed = [a for a in actions if a.required and a.nargs != 0]
        for action in actions:
            required = [word for a in needed if a is not action for word in _words(a)]
            for value in WORDS:
                cases.append([command, *required, *_words(action, value)])
            if action.option_strings:
                name = action.option_strings[-1]
                misspelt = f'{name[:-2]}{name[-1]}{name[-2]}'
                if misspelt != name:
                    cases.append([command, *required, misspelt, 'nowhere'])
            if action.required:
                cases.append([command, *required])
    random.Random(0).shuffle(cases)
    return cases


def _words(action: argparse.Action, value='nowhere'):
    if not action.option_strings:
        return [value]
    name = action.option_strings[-1]
    return [name] if action.nargs == 0 else [f'{name}={value}']


def refused(command, capsys, *, accepted=()):
    """Runs a command; returns whether it is refused, in one line and in time."""
    began = time.monotonic()
    try:
        status = main(command)
    except SystemExit as end:
        status = end.code
    assert time.monotonic() - began < SECONDS, command
    error = capsys.readouterr().err
    lines = [x for x in error.splitlines() if not x.startswith('note: ')]
    assert (status, len(lines)) in ((2, 1), *accepted), (command, status, error)
    assert error.isprintable() or error.count('\n') == len(error.splitlines())
    assert '\x1b' not in error
    return status == 2


@pytest.fixture
def prepared_only(monkeypatch, tmp_path):
    """Lets `train` prepare a run, and not start it."""
    outcome = SimpleNamespace(exit_status=0)
    monkeypatch.setattr(
        'inception_jax.training.run.start_run', lambda *_, **__: lambda: outcome
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_fields(cases, folder, capsys):
    count = 0
    for field, value, is_right_type in cases:
        command = [*arguments(folder / 'run'), f'--config.{field}={value}']
        is_refused = refused(command, capsys, accepted=[(0, 0)])
        assert is_refused or is_right_type, (field, value)
        count += is_refused
        assert not (folder / 'run').exists()
    return count


def test_some_mistakes_in_each_section_are_one_line(prepared_only, capsys):
    cases = sorted(field_mistakes(), key=lambda case: case[0].partition('.')[0])
    groups = itertools.groupby(cases, key=lambda case: case[0].partition('.')[0])
    sample = [case for _, group in groups for case in itertools.islice(group, 6)]
    assert check_fields(sample, prepared_only, capsys) > 25


@pytest.mark.slow
def test_600_mistakes_in_fields_are_one_line(prepared_only, capsys):
    count = check_fields(field_mistakes()[:600], prepared_only, capsys)
    with capsys.disabled():
        print(f' {count} of 600 refused, all others are values of the right type')
    assert count > 400


@pytest.mark.parametrize(
    'change',
    [
        'network.width=1e9',
        'network.depth=1e9',
        'network.input_size=1000000',
        'network.pixel_range=(1,1)',
        'network.pixel_range=(1,-1)',
        'network.batch_norm_epsilon=0',
        'network.batch_norm_epsilon=-1',
        'network.dropout=2',
        'hparams.rms_epsilon=0',
        'hparams.rms_epsilon=1e-60',
        'hparams.learning_rate=-1',
        'hparams.learning_rate=1e300',
        'hparams.dropout_rate=2',
        'hparams.residual_scale=(1,2,3)',
        'data.workers=100000',
        'data.source=synthetic:999999999999/3',
        'run.epochs=1e300',
        'run.epochs=1e9',
        'run.batch_size=1048576000',
        'run.evaluate_every_epochs=1e300',
        'recipe.init_from=nowhere.safetensors',
        'recipe.init_from=gs://bucket/x.safetensors',
    ],
)
def test_a_number_that_cannot_be_is_refused(change, prepared_only, capsys):
    command = [*arguments(prepared_only / 'run'), f'--config.{change}']
    assert refused(command, capsys)


def test_a_network_that_can_never_fit_is_refused(prepared_only, capsys):
    changes = {'network__name': 'inception_resnet_v2', 'network__input_size': 75}
    changes |= {'network__width': 90}
    command = arguments(prepared_only / 'run', **changes)
    assert refused(command, capsys)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('hparams.learning_rate=-1', 'learning_rate is -1'),
        ('hparams.dropout_rate=2', 'dropout_rate is 2'),
        ('hparams.residual_scale=(1,2,3)', '3 residual scales'),
        ('network.name=inception_v4 network.input_size=2', 'input size 2 is too small'),
        ('recipe.init_from=nowhere.safetensors', 'does not exist'),
    ],
)
def test_a_dry_run_refuses_the_same_mistakes(change, message, capsys):
    assert dry_run(*(f'--config.{field}' for field in change.split())) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1


def test_some_mistakes_in_options_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in option_mistakes()[:60]:
        assert refused(command, capsys), command
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_all_mistakes_in_options_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cases = option_mistakes()
    for command in cases:
        assert refused(command, capsys), command
    with capsys.disabled():
        print(f' {len(cases)} command lines refused')
    assert len(cases) > 200
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('command', 'hint'),
    [
        ('train --workdri X', 'did you mean --workdir?'),
        ('evaluate --wrokdir X', 'did you mean --workdir?'),
        ('replay --workdir x --form 1 --to 2', 'did you mean --from?'),
        ('report --outptu x', 'did you mean --output?'),
        ('train --workdir=x --config.run.epochs 5', '--config.section.field=value'),
    ],
)
def test_a_misspelt_option_is_named(command, hint, capsys):
    assert main_status(command.split()) == 2
    error = capsys.readouterr().err
    assert 'unknown argument --' in error
    assert hint in error or 'see --help' in error


def main_status(command):
    try:
        return main(command)
    except SystemExit as end:
        return end.code


ELSEWHERE = ('', '/', 'gs://bucket/run', 's3://b/r', 'file:///tmp/x', 'a[b]', 'a*')
ELSEWHERE += ('a\\b', 'a?', 'a\nb', 'x' * 300)
ODD = ('-lead', 'ö' * 60, 'x' * 200, 'a b$c$', "a'b{c}%d#", '~')


@pytest.mark.parametrize('path', ELSEWHERE)
def test_a_folder_that_cannot_hold_a_run_is_refused(path, prepared_only, capsys):
    assert refused(arguments(path, run__epochs=1), capsys)
    for command in ('evaluate', 'replay --from=0 --to=1', 'probe', 'predict x.png'):
        assert refused([*command.split(), f'--workdir={path}'], capsys)
    assert list(prepared_only.iterdir()) == []


@pytest.mark.parametrize('path', ELSEWHERE)
def test_a_folder_that_cannot_hold_a_sweep_is_refused(
    path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('inception_jax.lab.sweep.start_sweep', pytest.fail)
    command = arguments(path, run__epochs=1)[1:]
    assert refused(['sweep', '--grid=seed=0', *command], capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', ODD)
def test_a_run_in_a_folder_with_an_odd_name_is_read_again(name, tmp_path, capsys):
    run = tmp_path / name
    assert main(arguments(run, run__epochs=1)) == 0
    assert main(['evaluate', f'--workdir={run}', '--format=json']) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])['errors']


def test_urls_are_refused_by_functions_too(tmp_path, monkeypatch):
    import inception_jax as ij

    monkeypatch.chdir(tmp_path)
    config, url = ij.load_config(str(QUICKSTART)), 'gs://bucket/x'
    calls = (
        lambda: ij.train(config, url),
        lambda: ij.sweep(config, url, seed=[0]),
        lambda: ij.fork('run', 1, url),
        lambda: ij.run(url),
        lambda: ij.read_sweep(url),
        lambda: ij.state_at(url),
        lambda: ij.probe(url),
        lambda: ij.replay(url, 0, 1),
        lambda: ij.report(url),
        lambda: ij.report('run', url),
        lambda: ij.trained(url),
        lambda: ij.load_weights(f'{url}.safetensors'),
        lambda: ij.save_weights(f'{url}.safetensors', 'inception_v4', {}),
        lambda: ij.convert('run', f'{url}.safetensors'),
        lambda: ij.convert(url, 'a.safetensors'),
        lambda: ij.export('run', f'{url}.npz'),
        lambda: ij.load_config(url),
        lambda: ij.train(config, ''),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r'is a URL|path is empty'):
            call()
    assert list(tmp_path.iterdir()) == []
