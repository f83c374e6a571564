"""A folder from a stranger runs no code, leads nowhere else and obeys no terminal."""

import html
import json
import os
import sys

import pytest
from helpers import fake_runs
from helpers.images import images
from helpers.paths import QUICKSTART
from helpers.training import TINY, arguments

import inception_jax as ij
from inception_jax.__main__ import main
from inception_jax.reports.page import study_page
from inception_jax.reports.study import read_study
from inception_jax.reports.table import table_rows
from inception_jax.runs.lock import lock_workdir
from inception_jax.runs.workdir import log_command

CODE = 'import pathlib\npathlib.Path("it_ran").touch()\nNET = None\n'


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Changes to a folder with a module, and a run and a sweep that name it."""
    (tmp_path / 'trojan.py').write_text(CODE)
    fields = {'network.name': 'trojan:NET'}
    run = fake_runs.write_run(tmp_path / 'run', fields=fields)
    identity = fake_runs.read_json(run / 'config.json')
    config = ij.load_config(str(QUICKSTART), **fields)
    fake_runs.write_json(run / 'config.json', identity | {'config': config})
    fake_runs.write_sweep(tmp_path / 'sweep', scales=[1.0], widths=[1.0], seeds=[0])
    path = tmp_path / 'sweep' / 'sweep.json'
    content = fake_runs.read_json(path)
    fake_runs.write_json(
        path, content | {'config': fake_runs.changed(content['config'], fields)}
    )
    images(tmp_path / 'images')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [*sys.path])
    yield tmp_path
    sys.modules.pop('trojan', None)


@pytest.mark.parametrize(
    'command',
    [
        'train --workdir=run',
        'train --workdir=run --dry-run',
        'evaluate --workdir=run',
        'predict --workdir=run images',
        'convert run a.safetensors',
        'export --workdir=run a.npz',
        'fork --workdir=run --step=10 --into=fork',
        'replay --workdir=run --from=0 --to=10',
        'probe --workdir=run',
        'sweep --workdir=sweep',
    ],
)
def test_a_folder_does_not_choose_the_code_that_runs(command, stranger, capsys):
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert "names the network 'trojan:NET', which is code that would run" in error
    assert 'add --network trojan:NET' in error
    assert error.count('\n') == 1
    assert not (stranger / 'it_ran').exists()


def test_a_network_that_the_command_names_is_imported(stranger, capsys):
    for command in ('probe --workdir=run', 'train --workdir=run'):
        assert main([*command.split(), '--network=trojan:NET']) == 2
        assert (stranger / 'it_ran').exists()
        assert "'trojan:NET' is of type NoneType" in capsys.readouterr().err
    assert main(['probe', '--workdir=run', '--network=inception_v4']) == 2
    assert "'trojan:NET', not 'inception_v4'" in capsys.readouterr().err


def test_reports_and_tables_of_a_stranger_run_nothing(stranger):
    for name in ('run', 'sweep'):
        study = read_study([stranger / name])
        assert 'trojan:NET' in study_page(study, table_rows(study))
    (row,) = ij.read_sweep('sweep').table()
    assert row['filters'] is None
    assert not (stranger / 'it_ran').exists()


def test_a_member_on_disk_does_not_choose_the_code_that_runs(stranger, capsys):
    sweep = stranger / 'tiny'
    fields = TINY | {'run.epochs': 1}
    config = ij.load_config(str(QUICKSTART), **fields)
    members = {'a': {'network.name': 'trojan:NET'}}
    sweep.mkdir()
    fake_runs.write_json(sweep / 'sweep.json', {'config': config, 'members': members})
    command = [*arguments(sweep, run__epochs=1), '--grid=seed=1']
    assert main(['sweep', *command[1:]]) == 2
    assert 'is code that would run' in capsys.readouterr().err
    assert not (stranger / 'it_ran').exists()


@pytest.mark.parametrize('name', ['../../x', '/tmp/x', '..', '', 'a\\b', 'a/b'])
def test_a_member_is_a_folder_within_its_sweep(name, tmp_path, capsys):
    content = {'config': fake_runs.base_config(), 'members': {name: {}}}
    fake_runs.write_json(tmp_path / 'sweep.json', content)
    for command in ('sweep --workdir', 'report'):
        assert main([*command.split(), str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert 'a member is called' in error
        assert error.count('\n') == 1
    assert os.listdir(tmp_path) == ['sweep.json']


@pytest.mark.parametrize('name', ['.hold', 'commands.log'])
@pytest.mark.parametrize('kind', ['link', 'dangling', 'pipe'])
def test_a_file_to_lock_or_append_to_is_never_a_link(name, kind, tmp_path):
    target, folder = tmp_path / 'target', tmp_path / 'run'
    folder.mkdir()
    if kind == 'pipe':
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(target)
    if kind == 'link':
        target.write_text('mine')
    work = {'.hold': lock_workdir, 'commands.log': log_command}[name]
    with pytest.raises(ValueError, match='remove it'):
        work(folder)
    assert target.exists() == (kind == 'link')
    assert kind != 'link' or target.read_text() == 'mine'


def test_files_that_training_writes_replace_links(tmp_path, capsys):
    run, target = tmp_path / 'run', tmp_path / 'target'
    run.mkdir()
    target.write_text('')
    names = ('metrics.jsonl', 'checksums.txt', 'curves.png')
    for name in names:
        (run / name).symlink_to(target)
    assert main(arguments(run, run__epochs=1)) == 0
    assert target.read_text() == ''
    assert not any((run / name).is_symlink() for name in names)


HOSTILE = '\x1b]0;owned\x07\x1b[2Jcat\u202e\n'


def test_names_of_classes_and_files_are_printed_as_text(tmp_path, capsys):
    folder = tmp_path / 'data'
    images(folder)
    for split in ('train', 'test'):
        (folder / split / '3').rename(folder / split / HOSTILE)
    run = tmp_path / 'run'
    source = {'data__source': f'folder:{folder}', 'data__on_unreadable': 'skip'}
    (folder / 'train' / '0' / '0.png').rename(folder / 'train' / '0' / f'{HOSTILE}.png')
    (folder / 'train' / '0' / '1.png').rename(
        folder / 'train' / '0' / f'a{HOSTILE}.png'
    )
    (folder / 'train' / '0' / f'a{HOSTILE}.png').write_bytes(b'\x89PNG')
    assert main(arguments(run, **source, run__epochs=1)) == 0
    shown = ['--workdir', str(run)]
    assert main(['evaluate', *shown, '--worst-classes=4', '--confusions=9']) == 0
    assert main(['predict', *shown, str(folder / 'train' / '0')]) == 1
    assert main(['data-check', '--source', f'folder:{folder}', '--split=train']) == 1
    printed = ''.join(capsys.readouterr())
    assert r'\x1b[2Jcat\u202e\n' in printed
    assert not {'\x1b', '\x07', '\u202e'} & {*printed}
    assert repr(ij.trained(run))
    assert '\x1b' not in str(ij.trained(run)) + str(ij.run(run))


def test_a_report_holds_no_markup_of_others(tmp_path, capsys):
    mark = '<img src=x onerror=alert(1)>'
    fields = {'data.source': mark, 'network.rule': mark}
    run = fake_runs.write_run(
        tmp_path / 'run', fake_runs.Fate('dead', 90), fields=fields
    )
    path = run / 'verdict.json'
    path.write_text(json.dumps(fake_runs.read_json(path) | {'layer': mark}))
    (run / 'commands.log').write_text(f'{mark}\n\xff', 'latin-1')
    (run / 'error.txt').write_text(mark)
    study = read_study([run])
    page = study_page(study, table_rows(study))
    assert mark not in page
    assert html.escape(mark) in page
