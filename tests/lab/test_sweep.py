"""Sweeps: members are runs, whichever way and however often they are started."""

import itertools
import json

import chex
import pytest
from helpers.paths import QUICKSTART
from helpers.sweeps import GRID, TWO_STEPS, approximately, arguments, steps_of, table
from helpers.training import assert_same_runs, last_state, records

from inception_jax.__main__ import main
from inception_jax.config import files
from inception_jax.lab.grid import (
    LONGEST_NAME,
    name_members,
    parse_grid,
    read_member_list,
    shard_of,
)
from inception_jax.lab.sweep_folder import open_sweep, read_sweep, write_sweep
from inception_jax.training import programs


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sweep')
    assert main(arguments(folder, f'--grid={GRID}')) == 0
    return folder


def test_a_table_has_a_row_for_every_member(swept):
    rows = table(swept)
    assert [(r['residual_scale'], r['seed']) for r in rows] == [
        ('0.1', '0'),
        ('0.1', '1'),
        ('1', '0'),
        ('1', '1'),
    ]
    assert {r['verdict'] for r in rows} == {'alive'}
    assert all(float(r['top_1_error']) >= 0 for r in rows)
    assert len({r['train_cross_entropy'] for r in rows}) == 4


def test_scales_seeds_rates_and_initialisers_compile_once(tmp_path, capsys):
    scales = '--grid=residual_scale=0.1,0.3;learning_rate=0.01,0.02;seed=0,1'
    grids, short = (scales, '--grid=initializer=he,lecun'), {'run__epochs': 1}
    programs.compile_functions.cache_clear()
    with programs.compiled_names() as first:
        assert main(arguments(tmp_path / 'one', '--grid=seed=0', **short)) == 0
    assert ' 1 train step compiled or read from disk\n' in capsys.readouterr().out
    with programs.compiled_names() as more:
        assert main(arguments(tmp_path / 'all', *grids, **short)) == 0
    assert ' 0 train steps compiled or read from disk\n' in capsys.readouterr().out
    assert first.count('jit(train_step)') == 1
    assert more == []
    assert len(table(tmp_path / 'all')) == 10


def test_a_member_is_the_run_that_train_makes(swept, tmp_path):
    changes = {'hparams__residual_scale': 1, 'run__seed': 1}
    assert main(arguments(tmp_path, command='train', **changes)) == 0
    member = swept / 'members' / 'residual_scale=1,seed=1'
    assert_same_runs(tmp_path, member)


# With seed 0 or 1 a value is so near the edge of a ReLU that rounding moves it across.
TWO_STEPS_GRID = 'residual_scale=0.1,1;seed=2,3'


@pytest.fixture(scope='module')
def two_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two_steps')
    assert main(arguments(folder, f'--grid={TWO_STEPS_GRID}', **TWO_STEPS)) == 0
    return folder


@pytest.mark.parametrize('engine', ['devices', 'vmap'])
def test_engines_agree_to_rounding(two_steps, tmp_path, engine, capsys):
    options = (f'--grid={TWO_STEPS_GRID}', f'--engine={engine}')
    assert main(arguments(tmp_path, *options, **TWO_STEPS)) == 0
    assert ' 1 train step compiled or read from disk\n' in capsys.readouterr().out
    for alone in (two_steps / 'members').iterdir():
        together = tmp_path / 'members' / alone.name
        assert steps_of(alone) == steps_of(together)
        for record, other in zip(records(alone), records(together), strict=True):
            assert other == {n: approximately(x) for n, x in record.items()}
        chex.assert_trees_all_close(
            last_state(together), last_state(alone), rtol=1e-5, atol=1e-5
        )


@pytest.mark.slow
def test_members_at_different_steps_resume_together(swept, tmp_path):
    for scale, seed, epochs in ((0.1, 0, 1), (1, 1, 2)):
        member = tmp_path / 'members' / f'residual_scale={scale},seed={seed}'
        changes = {'hparams__residual_scale': float(scale), 'run__seed': seed}
        alone = arguments(member, command='train', run__epochs=epochs, **changes)
        assert main(alone) == 0
    assert main(arguments(tmp_path, f'--grid={GRID}', '--engine=vmap')) == 0
    assert {row['steps_done'] for row in table(tmp_path)} == {'24'}
    for member in (swept / 'members').iterdir():
        steps = steps_of(tmp_path / 'members' / member.name)
        assert set(steps) >= set(steps_of(member))


def test_in_a_longer_sweep_those_of_other_parts_are_unfinished(tmp_path):
    grid = '--grid=seed=0,1'
    assert main(arguments(tmp_path, grid, run__epochs=1)) == 0
    assert main(arguments(tmp_path, grid, '--shard=0/2', run__epochs=2)) == 0
    verdicts = [(row['verdict'], row['steps_done']) for row in table(tmp_path)]
    assert verdicts == [('alive', '16'), ('unfinished', '8')]


def test_a_sweep_with_more_epochs_resumes(swept, tmp_path):
    for epochs in (1, 3):
        command = arguments(tmp_path, '--grid=residual_scale=1', run__epochs=epochs)
        assert main(command) == 0
    (row,) = table(tmp_path)
    assert row['steps_done'] == row['steps'] == '24'
    assert row['train_cross_entropy'] == table(swept)[2]['train_cross_entropy']


def test_the_parts_of_a_sweep_make_the_whole(swept, tmp_path):
    assert main(arguments(tmp_path, f'--grid={GRID}', '--shard=0/2')) == 0
    verdicts = [row['verdict'] for row in table(tmp_path)]
    assert sorted(verdicts) == ['alive', 'alive', 'unfinished', 'unfinished']
    assert main(['sweep', f'--workdir={tmp_path}', '--shard=1/2']) == 0
    assert table(tmp_path) == table(swept)
    written = [json.loads((f / 'sweep.json').read_text()) for f in (tmp_path, swept)]
    assert written[0] == written[1]


CONFIG = {
    'network': {'width': {'a': 1.0}},
    'hparams': {'rate': 1, 'scale': None},
    'run': {'seed': 0},
}


def test_grids_add_up_and_a_larger_one_adds_members(tmp_path):
    rows = parse_grid(CONFIG, 'scale=0.1,1; seed=0')
    rows += parse_grid(CONFIG, 'rate=2')
    sweep = open_sweep(tmp_path, CONFIG, name_members(rows))
    assert list(sweep.members) == ['scale=0.1,seed=0', 'scale=1,seed=0', 'rate=2']
    write_sweep(sweep)
    more = name_members(parse_grid(CONFIG, 'scale=1,2;seed=0'))
    assert len(open_sweep(tmp_path, CONFIG, more).members) == 4
    with pytest.raises(ValueError, match=r'config\.run\.seed=0.* has 1'):
        open_sweep(tmp_path, CONFIG | {'run': {'seed': 1}}, more)


def test_two_that_are_the_same_run_are_one_member(tmp_path):
    rows = parse_grid(CONFIG, 'scale=1')
    write_sweep(open_sweep(tmp_path, CONFIG, name_members(rows)))
    rows = parse_grid(CONFIG, 'scale=1.0,2;seed=0,1')
    more = open_sweep(tmp_path, CONFIG, name_members(rows))
    assert list(more.members) == [
        *('scale=1', 'scale=1.0,seed=1', 'scale=2,seed=0', 'scale=2,seed=1')
    ]


def test_members_that_two_processes_add_at_the_same_time_are_kept(tmp_path):
    sweeps = [
        open_sweep(tmp_path, CONFIG, name_members(parse_grid(CONFIG, grid)))
        for grid in ('seed=1', 'seed=2')
    ]
    for sweep in sweeps:
        write_sweep(sweep)
    assert list(read_sweep(tmp_path).members) == ['seed=1', 'seed=2']


def test_a_folder_that_cannot_be_is_one_line(tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    assert main(arguments(tmp_path / 'file' / 'sweep', '--grid=seed=0')) == 2
    printed = capsys.readouterr().err
    assert 'name another folder' in printed
    assert printed.count('\n') == 1


def test_a_row_has_what_its_member_has_and_the_width_of_the_last_grid(tmp_path):
    config = files.load_config(QUICKSTART)
    rows = parse_grid(config, 'depth.c=0.2;residual_scale.c=0.1')
    config['network']['depth'] = {'a': 0.2}
    rows += parse_grid(config, 'seed=7;learning_rate=1')
    sweep = open_sweep(tmp_path, config, name_members(rows))
    first, second = sweep.table()
    assert (first['depth.c'], first['residual_scale.c']) == (0.2, 0.1)
    assert (first['seed'], first['learning_rate']) == (0, 0.045)
    assert (second['seed'], second['residual_scale.c']) == (7, None)
    assert first['filters'] == 448
    assert first['verdict'] == 'unfinished'


def test_a_run_and_a_sweep_do_not_share_a_folder(swept, tmp_path, capsys):
    member = swept / 'members' / 'residual_scale=1,seed=0'
    assert main(arguments(member, '--grid=seed=0')) == 2
    assert 'holds a run; use another folder' in capsys.readouterr().err
    assert main(arguments(swept, command='train')) == 2
    assert 'holds a sweep; use another folder' in capsys.readouterr().err
    assert main(['replay', f'--workdir={swept}', '--from=0', '--to=1']) == 2
    assert 'one of its members' in capsys.readouterr().err
    assert main(['sweep', f'--workdir={tmp_path}']) == 2
    assert 'holds no sweep; check the path, or start' in capsys.readouterr().err
    assert main(['sweep', f'--workdir={swept}', '--config.run.epochs=9']) == 2
    assert 'fields are set with --config FILE.py only' in capsys.readouterr().err


def test_members_may_come_from_a_file(tmp_path):
    path = tmp_path / 'members.json'
    path.write_text('[{"scale": 0.1, "seed": 3}, {"scale": {"a": 0.2}}]')
    assert read_member_list(CONFIG, path) == [
        {'hparams.scale': 0.1, 'run.seed': 3},
        {'hparams.scale': {'a': 0.2}},
    ]
    path.write_text('{"scale": 0.1}')
    with pytest.raises(ValueError, match='a list of objects'):
        read_member_list(CONFIG, path)


def test_names_are_folders_and_differ_where_members_do():
    rows = parse_grid(CONFIG, "scale={'a': 0.1},{'a': 0.2};width.a=0.5")
    names = name_members(rows)
    assert len(names) == 2
    assert not any(set(name) & set('/:{} ') for name in names)
    same = [{'a.x': 1}, {'b.x': 1}]
    with pytest.raises(ValueError, match='two members would be called x=1'):
        name_members(same)
    rows = [c for n in ('width', 'scale') for c in parse_grid(CONFIG, f'{n}.a=1')]
    assert list(name_members(rows)) == ['width.a=1', 'scale.a=1']
    long = name_members([{'hparams.scale': [x] * 100} for x in (0.1, 0.2)])
    assert len(long) == 2
    assert max(map(len, long)) <= LONGEST_NAME


def test_parts_are_all_members_once():
    names = [str(i) for i in range(7)]
    parts = [shard_of(names, (i, 3)) for i in range(3)]
    assert list(itertools.chain(*parts)) == names
    assert {len(part) for part in parts} == {2, 3}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--grid=residual_scal=0.1'], 'did you mean config.hparams.residual_scale?'),
        (['--grid=residual_scale'], 'expected NAME=VALUE'),
        (['--grid=seed=0,1;run.seed=2'], 'config.run.seed is named twice'),
        (
            ["--grid=residual_scale={'a': 'x'}"],
            "residual_scale is {'a': 'x'}; expected",
        ),
        (['--grid=seed=0,-1'], 'member seed=-1: config.run.seed is -1'),
        (['--grid=seed=0', '--shard=2/2'], 'i from 0 to n - 1'),
        (['--grid='], 'a grid names no field'),
        ([], 'no members; give fields several values'),
        (['--list=/no/such.json'], '/no/such.json'),
    ],
)
def test_a_mistake_is_one_line_and_status_2(options, message, tmp_path, capsys):
    assert main(arguments(tmp_path / 'run', *options)) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count('\n') == 1
    assert not (tmp_path / 'run').exists()
