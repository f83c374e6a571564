"""Damaged and foreign checkpoints: what is used, what is refused, what is said."""

import asyncio
import dataclasses
import gc
import json
import logging
import random
import resource
import shutil
import sys
import warnings

import chex
import jax
import numpy as np
import pytest
from helpers.steps import begin

from inception_jax.parallel import mesh
from inception_jax.parallel.mesh import _copier, device_mesh, distribute, shardings
from inception_jax.runs import checkpoints

ABOUT = {'run': {'inception_jax': '0.1.0', 'network': 'tiny'}, 'interval': [1.5]}


def state_at(step):
    return dataclasses.replace(begin(), step=np.int32(step), params=scaled(step))


def scaled(factor):
    return jax.tree.map(lambda x: x * np.float32(1 + factor), begin().params)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkpoints')
    with checkpoints.open_manager(folder, keep=3) as manager:
        for step in (1, 2):
            checkpoints.save_checkpoint(manager, state_at(step), ABOUT)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / 'checkpoints')


def anyones(metadata):
    """Accepts every checkpoint."""


def restored(folder, accept=anyones, like=None, **options):
    return checkpoints.restore_checkpoint(folder, like or begin(), accept, **options)


def data(folder):
    """Returns the files of the newest checkpoint's arrays.

    On a slow machine there are several, and some of them are not read.
    """
    return [*(folder / '2' / 'state' / 'ocdbt.process_0' / 'd').iterdir()]


def copy_state(folder):
    shutil.rmtree(folder / '2' / 'state')
    shutil.copytree(folder / '1' / 'state', folder / '2' / 'state')


def lie(folder):
    """Changes what a checkpoint says of itself, as JSON that can be read."""
    path = folder / '2' / 'about' / 'metadata'
    path.write_text(path.read_text().replace('1.5', '1.6'))


DAMAGE = {
    'files cut short': lambda folder: [
        path.write_bytes(path.read_bytes()[:100]) for path in data(folder)
    ],
    'files of zeros': lambda folder: [
        path.write_bytes(bytes(path.stat().st_size)) for path in data(folder)
    ],
    'files that are gone': lambda folder: [path.unlink() for path in data(folder)],
    'broken metadata': lambda folder: (folder / '2' / 'state' / '_METADATA').write_text(
        '{'
    ),
    'no state': lambda folder: shutil.rmtree(folder / '2' / 'state'),
    'nothing about it': lambda folder: shutil.rmtree(folder / '2' / 'about'),
    'something else about it': lie,
    'the state of another step': copy_state,
    'an empty folder': lambda folder: (folder / '5').mkdir(),
    'the folder of another step': lambda folder: shutil.copytree(
        folder / '1', folder / '7'
    ),
}


@pytest.mark.parametrize('kind', DAMAGE)
def test_the_newest_undamaged_checkpoint_is_used(kind, folder, capfd):
    DAMAGE[kind](folder)
    checkpoint = restored(folder)
    newest = max(int(p.name) for p in folder.iterdir())
    assert [d.path.name for d in checkpoint.damaged] == [str(newest)]
    assert all(0 < len(d.reason) < 300 for d in checkpoint.damaged)
    good = 1 if newest == 2 else 2
    chex.assert_trees_all_equal(checkpoint.state.params, scaled(good))
    assert int(checkpoint.state.step) == good
    assert checkpoint.metadata['interval'] == [1.5]
    assert capfd.readouterr().err == ''


def test_a_flipped_bit_changes_nothing_or_is_detected(tmp_path, capfd):
    """Orbax alone returned other numbers for 51 of 60 flipped bits."""
    chance, reasons = random.Random(0), []
    values = np.random.default_rng(0).normal(size=(2, 256, 256)).astype(np.float32)
    states = [
        dataclasses.replace(state_at(step), params={'kernel': values[step - 1]})
        for step in (1, 2)
    ]
    with checkpoints.open_manager(tmp_path, keep=3) as manager:
        for state in states:
            checkpoints.save_checkpoint(manager, state, ABOUT)
    like = jax.tree.map(jax.numpy.asarray, states[0])
    # Orbax draws the names of the files, but not their sizes.
    sizes = {path: path.stat().st_size for path in data(tmp_path)}
    files = sorted(sizes, key=sizes.get)
    for _ in range(20):
        (path,) = chance.choices(files, [sizes[path] for path in files])
        whole = path.read_bytes()
        place = chance.randrange(len(whole))
        flipped = bytes([whole[place] ^ 1 << chance.randrange(8)])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        state, _, damaged = restored(tmp_path, like=like)
        chex.assert_trees_all_equal(state.params, states[int(state.step) - 1].params)
        reasons += [d.reason for d in damaged]
        path.write_bytes(whole)
    assert sum(reason.endswith('is not what was written') for reason in reasons) >= 10
    assert capfd.readouterr().err == ''


def test_a_whole_one_is_the_newest(folder):
    checkpoint = restored(folder)
    assert (int(checkpoint.state.step), checkpoint.damaged) == (2, ())
    chex.assert_trees_all_equal(checkpoint.state.params, scaled(2))
    assert int(restored(folder, at=1).state.step) == 1
    assert restored(folder, at=0) is None


def test_one_that_was_not_finished_is_not_there(folder):
    shutil.copytree(folder / '1', folder / '9.orbax-checkpoint-tmp')
    assert int(restored(folder).state.step) == 2


def test_no_run_starts_again_if_no_checkpoint_can_be_read(folder):
    for step in '12':
        shutil.rmtree(folder / step / 'state')
    with pytest.raises(ValueError, match=r'no checkpoint in .* \(2: .*; 1: .*another'):
        restored(folder)
    assert restored(folder / 'none') is None


def test_one_of_another_run_is_refused_and_no_older_one_used(folder):
    def refuse(metadata):
        raise ValueError(f'a run of {metadata["run"]["network"]}')

    with pytest.raises(ValueError, match='a run of tiny'):
        restored(folder, refuse)


def test_one_of_an_older_version_is_refused_by_its_name(folder):
    other = dataclasses.replace(begin(), opt_state=())
    with pytest.raises(ValueError, match=r'by inception_jax 0\.1\.0, whose state has'):
        restored(folder, like=other)


def test_one_without_sums_is_taken_at_its_word(folder, monkeypatch):
    """Those of before there were sums."""
    (folder / 'old').mkdir()
    monkeypatch.setattr(checkpoints, 'content_checksums', lambda state: {})
    monkeypatch.setattr(checkpoints, 'structure_checksum', lambda state: None)
    with checkpoints.open_manager(folder / 'old', keep=1) as manager:
        checkpoints.save_checkpoint(manager, state_at(3), ABOUT)
    path = folder / 'old' / '3' / 'about' / 'metadata'
    metadata = json.loads(path.read_text())
    del metadata['sums'], metadata['form']
    path.write_text(json.dumps(metadata))
    monkeypatch.undo()
    assert int(restored(folder / 'old').state.step) == 3


def test_the_best_are_kept_beside_the_last(tmp_path):
    errors = {1: 50.0, 2: 30.0, 3: 40.0, 4: None, 5: 60.0, 6: None}
    with checkpoints.open_manager(tmp_path, keep=2, best=1, always=(1,)) as manager:
        for step, error in errors.items():
            checkpoints.save_checkpoint(manager, state_at(step), ABOUT, error)
    assert sorted(checkpoints.checkpoint_steps(tmp_path)) == [1, 2, 5, 6]


def test_the_best_stay_so_when_a_run_is_started_again(tmp_path):
    for errors in ({1: 10.0, 2: 50.0}, {3: 40.0, 4: 60.0}, {5: 5.0, 6: 70.0}):
        with checkpoints.open_manager(tmp_path, keep=1, best=2) as manager:
            for step, error in errors.items():
                checkpoints.save_checkpoint(manager, state_at(step), ABOUT, error)
    assert sorted(checkpoints.checkpoint_steps(tmp_path)) == [1, 5, 6]


def test_a_checkpoint_that_a_kill_left_unfinished_is_removed(tmp_path):
    left = tmp_path / '1.orbax-checkpoint-tmp'
    left.mkdir()
    with checkpoints.open_manager(tmp_path, keep=1) as manager:
        checkpoints.save_checkpoint(manager, state_at(2), ABOUT)
    assert not left.exists()


def test_that_processes_disagree_is_no_damage(folder, monkeypatch):
    def apart(*_, **__):
        raise AssertionError('sync_global_devices name mismatch')

    monkeypatch.setattr(checkpoints.Manager, 'restore', apart)
    with pytest.raises(ValueError, match='do not read the same checkpoints'):
        restored(folder)


@pytest.mark.parametrize('places', [(1, 4), (4, 1), (2, 2)])
def test_a_state_goes_to_other_devices_with_its_bits(places, tmp_path, monkeypatch):
    monkeypatch.setattr(mesh, 'LEAST_SPLIT_KERNEL', 64)
    _copier.cache_clear()
    before, after = (device_mesh(count) for count in places)
    with checkpoints.open_manager(tmp_path, keep=1) as manager:
        checkpoints.save_checkpoint(manager, distribute(state_at(1), before), ABOUT)
    moved = restored(tmp_path, like=distribute(begin(), after)).state
    chex.assert_trees_all_equal(moved.params, scaled(1))
    expected = jax.tree.leaves(shardings(moved.params, after))
    assert [x.sharding for x in jax.tree.leaves(moved.params)] == expected


def test_a_disk_that_does_not_take_it_is_one_line(tmp_path, capfd):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with (
            pytest.raises(checkpoints.NotSaved, match='no checkpoint could be written'),
            checkpoints.open_manager(tmp_path, keep=1) as manager,
        ):
            checkpoints.save_checkpoint(manager, state_at(1), ABOUT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.checkpoint_steps(tmp_path) == []
    gc.collect()
    assert capfd.readouterr().err == ''


def process_hooks():
    """Returns what checkpoints silence in the process for a while."""
    loggers = [logging.getLogger(name) for name in (None, 'absl', 'asyncio', 'orbax')]
    return (
        sys.unraisablehook,
        asyncio.new_event_loop,
        list(warnings.filters),
        [(logger.level, logger.filters, logger.disabled) for logger in loggers],
    )


@pytest.mark.parametrize('kind', ['files that are gone', 'an empty folder', None])
def test_checkpoints_leave_no_hook_behind(kind, folder, tmp_path):
    before = process_hooks()
    assert checkpoints.checkpoint_steps(folder) == [1, 2]
    assert process_hooks() == before
    if kind:
        DAMAGE[kind](folder)
    assert bool(restored(folder).damaged) == bool(kind)
    assert process_hooks() == before
    with checkpoints.open_manager(tmp_path / 'other', keep=1, best=1) as manager:
        checkpoints.save_checkpoint(manager, state_at(1), ABOUT, 50.0)
    assert process_hooks() == before


def test_an_error_leaves_no_hook_behind(folder):
    before = process_hooks()
    for step in '12':
        shutil.rmtree(folder / step / 'state')
    with pytest.raises(ValueError, match='no checkpoint in'):
        restored(folder)
    assert process_hooks() == before
