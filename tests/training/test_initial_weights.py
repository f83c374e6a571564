"""Runs that begin with weights: all of them, or with a new head."""

import dataclasses

import jax
import numpy as np
import pytest
from helpers import narrow
from helpers.paths import CONFIGS
from helpers.steps import NUMBERS, RECIPE
from helpers.tiny import NET
from helpers.training import arguments, last_state
from helpers.weight_files import write_trunk

from inception_jax.__main__ import main
from inception_jax.config.experiment import experiment
from inception_jax.config.files import load_config
from inception_jax.model.initializers import initial_variables
from inception_jax.networks.catalogue import choose
from inception_jax.steps.by_block import without_blocks
from inception_jax.steps.hparams import hparams_for
from inception_jax.training.initial_weights import (
    check_initial_weights,
    check_same_network,
    load_initial_weights,
)
from inception_jax.weights import trained, weight_file
from inception_jax.weights.layouts.catalogue import find_layout


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Returns a weight file of a run on four classes."""
    folder = tmp_path_factory.mktemp('first')
    assert main(arguments(folder / 'run', run__epochs=2)) == 0
    path = folder / 'four.safetensors'
    assert main(['convert', str(folder / 'run'), str(path)]) == 0
    return path


def begin(workdir, weights, **changes):
    """Starts a run of one step from weights."""
    changes = {'run__epochs': 0.125, 'recipe__init_from': weights} | changes
    return main(arguments(workdir, **changes))


def blocks_of(weights):
    return trained.load_weights(weights, 'helpers.tiny:NET').variables


def equal(tree, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    )


def test_a_run_begins_with_the_weights_of_a_file(weights, tmp_path):
    frozen = ('stem', 'a_1', 'a_2')
    assert begin(tmp_path, weights, recipe__frozen=frozen) == 0
    state, loaded = last_state(tmp_path), blocks_of(weights)
    for block in frozen:
        for tree in (state['params'], state['ema']['params']):
            assert equal(tree[block], loaded['params'][block])
        assert equal(state['batch_stats'][block], loaded['batch_stats'][block])
    head = state['params']['logits'], loaded['params']['logits']
    assert not equal(*head)
    # One step from the file, not from values drawn.
    np.testing.assert_allclose(
        head[0]['dense0']['kernel'], head[1]['dense0']['kernel'], atol=0.05
    )


def test_another_number_of_classes_needs_a_new_head(weights, tmp_path, capsys):
    changes = {'data__source': 'synthetic:64/5', 'recipe__frozen': 'trunk'}
    assert begin(tmp_path, weights, **changes) == 2
    printed = capsys.readouterr().err
    assert 'have 4 classes (0, ...), and the data have 5' in printed
    assert 'set config.recipe.new_head=true' in printed
    assert printed.count('\n') == 1
    assert begin(tmp_path, weights, recipe__new_head=True, **changes) == 0
    state, loaded = last_state(tmp_path), blocks_of(weights)
    assert state['params']['logits']['dense0']['bias'].shape == (5,)
    for block in ('stem', 'a_1', 'a_2'):
        assert equal(state['params'][block], loaded['params'][block])


def test_a_new_head_is_drawn_also_for_as_many_classes(weights, tmp_path):
    assert begin(tmp_path / 'kept', weights, recipe__frozen='trunk') == 0
    changes = {'recipe__frozen': 'trunk', 'recipe__new_head': True}
    assert begin(tmp_path / 'new', weights, **changes) == 0
    kept, new = (last_state(tmp_path / name)['params'] for name in ('kept', 'new'))
    assert equal(kept['stem'], new['stem'])
    assert not np.allclose(
        kept['logits']['dense0']['kernel'], new['logits']['dense0']['kernel'], atol=0.05
    )


def test_a_run_resumes_without_its_file_of_initial_weights(weights, tmp_path):
    copies = [tmp_path / f'copy{ending}' for ending in ('.safetensors', '.json')]
    for copy in copies:
        copy.write_bytes(weights.with_suffix(copy.suffix).read_bytes())
    assert begin(tmp_path / 'run', copies[0]) == 0
    for copy in copies:
        copy.unlink()
    assert begin(tmp_path / 'run', copies[0], run__epochs=0.25) == 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'recipe__init_from': 'nowhere.safetensors'}, 'does not exist'),
        ({'recipe__init_from': 'net.pth'}, 'net.pth is not a weight file'),
        (
            {'network__width': 2.0},
            'tiny with other blocks than those of tiny',
        ),
        ({'network__width': 2.0}, 'stem/conv0 with 8 filters, and here 16); set --con'),
        (
            {'network__width': 2.0},
            ' --config.network.width=1.0 --config.network.depth=',
        ),
        ({'network__depth': 2.0}, 'first difference: '),
        (
            {'network__name': 'helpers.tiny:PLAIN'},
            'has weights of helpers.tiny:NET, not of helpers.tiny:PLAIN',
        ),
        (
            {'network__batch_norm_gamma': True},
            'batch_norm_gamma False, and this network has True; set config.network.b',
        ),
        (
            {'network__pixel_range': (0.0, 1.0)},
            'this network has (0.0, 1.0); set config.network.pixel_range=(-1.0,1.0)',
        ),
        ({'network__batch_norm_epsilon': 0.1}, 'set config.network.batch_norm_epsilon'),
        (
            {'recipe__init_from': None, 'recipe__new_head': True},
            'new_head is set without init_from',
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    changes, message, weights, tmp_path, capsys
):
    assert begin(tmp_path / 'run', weights, **changes) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1
    assert not (tmp_path / 'run' / 'config.json').exists()


def test_a_file_that_was_changed_is_refused(weights, tmp_path, capsys):
    copy = tmp_path / 'copy.safetensors'
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    weight_file.info_path(copy).write_bytes(weight_file.info_path(weights).read_bytes())
    assert begin(tmp_path / 'run', copy) == 2
    assert 'its SHA-256 differs' in capsys.readouterr().err


def test_another_file_in_the_place_of_the_first_is_refused(weights, tmp_path, capsys):
    run, place = tmp_path / 'run', tmp_path / 'w.safetensors'

    def put(path):
        for file in (place, weight_file.info_path(place)):
            file.write_bytes(path.with_suffix(file.suffix).read_bytes())

    put(weights)
    assert begin(run, place) == 0
    assert main(arguments(tmp_path / 'second', run__epochs=1)) == 0
    other = tmp_path / 'other.safetensors'
    assert main(['convert', str(tmp_path / 'second'), str(other)]) == 0
    put(other)
    capsys.readouterr()
    # Step 0 would be recomputed from the other file.
    assert main(['evaluate', f'--workdir={run}', '--step=0']) == 2
    assert 'is not the file that the run started from' in capsys.readouterr().err
    # Under another path the same file is the same, and the other is another.
    assert begin(run, weights) == 0
    assert begin(run, other) == 2
    assert 'config.recipe.init_from names other weights' in capsys.readouterr().err


def test_residual_scales_of_the_weights_are_those_of_the_run(tmp_path, capsys):
    changes = {'run__epochs': 1, 'hparams__residual_scale': 0.05}
    assert main(arguments(tmp_path / 'low', **changes)) == 0
    path = tmp_path / 'low.safetensors'
    assert main(['convert', str(tmp_path / 'low'), str(path)]) == 0
    assert begin(tmp_path / 'run', path) == 2
    printed = capsys.readouterr().err
    assert 'have the residual scales [0.05, 0.05], and the network has oth' in printed
    assert begin(tmp_path / 'run', path, hparams__residual_scale=0.3) == 0


def test_weights_of_a_network_that_computes_otherwise_are_refused():
    """Padding counts in the average pools of torchvision's, and names are the same."""
    theirs = narrow.V3_TORCHVISION
    ours = dataclasses.replace(narrow.V3, batch_norm_gamma=True)
    with pytest.raises(
        ValueError, match='with other blocks than those of inception_v3'
    ):
        check_same_network(theirs, ours)
    check_same_network(theirs, dataclasses.replace(theirs, classes=5))


def test_a_crop_other_than_that_of_the_weights_is_reported(capsys):
    ours = dataclasses.replace(narrow.V4, square_crop=True)
    check_same_network(narrow.V4, ours)
    assert 'evaluated with other preprocessing: config.network.square_crop=False' in (
        capsys.readouterr().err
    )


def test_a_sweep_looks_at_the_weights_before_it_starts(tmp_path, capsys):
    fields = [a for a in arguments(tmp_path / 'sweep') if a != 'train']
    command = ['sweep', *fields, '--grid=seed=0,1']
    assert main([*command, '--config.recipe.init_from=nowhere.safetensors']) == 2
    assert 'nowhere.safetensors does not exist' in capsys.readouterr().err
    assert not (tmp_path / 'sweep' / 'sweep.json').exists()


def test_a_trunk_without_head_begins_a_run_with_a_new_head(tmp_path):
    variables = write_trunk(path := tmp_path / 'trunk.safetensors')
    numbers = hparams_for(NET, **NUMBERS)
    recipe = dataclasses.replace(RECIPE, init_from=str(path))

    def check(recipe):
        arguments = recipe, NET, 'helpers.tiny:NET', numbers, ('ant', 'bee')
        return check_initial_weights(*arguments, scales_of_network=True)

    with pytest.raises(ValueError, match=r'no head; set config\.recipe\.new_head'):
        check(recipe)
    recipe = dataclasses.replace(recipe, new_head=True)
    start = initial_variables(NET, seed=0, scheme='he')
    loaded = load_initial_weights(recipe, check(recipe), start)
    assert equal(without_blocks(loaded['params'], ('logits',)), variables['params'])
    assert equal(loaded['params']['logits'], start['params']['logits'])


FLOAT = {
    'batch_norm_gamma': False,
    'square_crop': False,
    'interpolation': 'float_bilinear',
    'crop_fraction': 0.875,
}


@pytest.mark.parametrize(
    ('layout', 'name', 'fields'),
    [
        ('timm', 'inception_v4_slim', {}),
        ('timm', 'inception_resnet_v2_slim', {}),
        ('slim', 'inception_v4_slim', FLOAT),
        ('slim', 'inception_resnet_v2_slim', FLOAT),
        ('slim', 'inception_v3', FLOAT),
        ('keras', 'inception_resnet_v2_slim', FLOAT),
        ('keras', 'inception_v3', FLOAT),
        (
            'torchvision',
            'inception_v3_torchvision',
            {'interpolation': 'smooth_bilinear', 'crop_fraction': 0.8742},
        ),
    ],
)
def test_the_config_for_photos_takes_released_weights(layout, name, fields, capsys):
    """docs/weights.md lists these fields."""
    changes = {f'network.{field}': value for field, value in fields.items()}
    ours = experiment(load_config(CONFIGS / f'photos.py:{name}', **changes)).network
    theirs = choose(name, **find_layout(layout, name).fields)
    check_same_network(theirs, dataclasses.replace(ours, classes=3))
    assert capsys.readouterr().err == ''
