"""A network inside a file: behind prefixes, with EMA weights, and without its head."""

import jax
import numpy as np
import pytest
from helpers.conversions import convert, layout_of, made, network, read, same
from helpers.weight_files import Tensor, install_torch, write_trunk, write_zip
from safetensors.numpy import save_file

from inception_jax.evaluation.apply import compile_softmax
from inception_jax.evaluation.predict import features
from inception_jax.evaluation.trained import TrainedNetwork
from inception_jax.steps.by_block import without_blocks
from inception_jax.weights import trained
from inception_jax.weights.export import export_trained
from inception_jax.weights.wrappers import unwrap

NAME = 'helpers.narrow:V4'


@pytest.fixture(scope='module')
def timm():
    """Returns variables of v4, and their arrays in timm's layout."""
    return made('timm', 'V4')


@pytest.fixture(scope='module')
def slim():
    return made('slim', 'V4')


def prefixed(prefix, arrays):
    return {f'{prefix}{name}': x for name, x in arrays.items()}


def doubled(arrays):
    """Returns other arrays of the same names; variances stay above 0."""
    return {name: np.asarray(2 * x) for name, x in arrays.items()}


def load(path, name='V4', layout='timm', **options):
    return trained.load_weights(read(path, layout, name, **options), NAME)


@pytest.mark.parametrize(
    'prefix',
    [
        *('module.', 'model.', 'net.', 'backbone.', '_orig_mod.'),
        *('state_dict.module.', 'model_state_dict.', 'state_dict.model._orig_mod.'),
    ],
)
def test_the_prefix_of_a_wrapper_is_left_out(prefix, timm, tmp_path):
    variables, arrays = timm
    save_file(prefixed(prefix, arrays), tmp_path / 'a')
    same(load(tmp_path / 'a').variables, variables)


def test_what_compilers_insert_is_left_out_at_any_depth(timm):
    _, arrays = timm
    inserted = {
        n.replace('features.0.', 'features.0._orig_mod.'): x for n, x in arrays.items()
    }
    assert unwrap(inserted, entries()).arrays.keys() == arrays.keys()


def entries(layout='timm'):
    return layout_of(layout, 'V4').layout.entries(network(layout, 'V4'))


def test_arrays_beside_the_network_are_left_out_with_a_note(timm, tmp_path, capsys):
    variables, arrays = timm
    others = {'criterion.weight': np.zeros(5, np.float32)}
    save_file(prefixed('model.', arrays) | others, tmp_path / 'a')
    same(load(tmp_path / 'a').variables, variables)
    assert 'a: left out 1 array: criterion.weight' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('raw', 'ema'),
    [
        ('state_dict.', 'state_dict_ema.'),
        ('model.', 'model_ema.'),
        ('model.', 'model_ema.module.'),
        ('state_dict.model.', 'state_dict.ema_model.'),
        ('', 'ema.'),
    ],
)
def test_ema_weights_are_used_unless_raw_ones_are_asked_for(
    raw, ema, timm, tmp_path, capsys
):
    variables, arrays = timm
    save_file(prefixed(raw, doubled(arrays)) | prefixed(ema, arrays), tmp_path / 'a')
    file = load(tmp_path / 'a')
    same(file.variables, variables)
    assert file.origin['weights'] == f'EMA ({ema.rstrip(".")})'
    assert f'weights EMA ({ema.rstrip(".")})' in capsys.readouterr().out
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'a').rename(tmp_path / 'raw' / 'a')
    file = load(tmp_path / 'raw' / 'a', raw=True)
    assert file.origin['weights'].startswith('raw')
    kernel = variables['params']['stem']['conv0']['kernel']
    same(file.variables['params']['stem']['conv0']['kernel'], 2 * kernel)


def test_ema_weights_of_slim_are_used_and_slots_of_optimizers_are_not(slim, tmp_path):
    variables, arrays = slim
    slots = {
        f'{name}/{slot}': x
        for slot in ('Adam', 'Adam_1', 'Adagrad', 'Ftrl', 'Momentum', 'RMSProp_2')
        for name, x in arrays.items()
    }
    ema = {f'{name}/ExponentialMovingAverage': x for name, x in arrays.items()}
    save_file(doubled(arrays) | slots | ema, tmp_path / 'a')
    file = load(tmp_path / 'a', layout='slim')
    same(file.variables, variables)
    assert file.origin['weights'] == 'EMA'
    raw = unwrap(doubled(arrays) | ema, entries('slim'), raw=True)
    kernel = next(iter(arrays))
    np.testing.assert_array_equal(raw.arrays[kernel], 2 * arrays[kernel])


def test_raw_weights_where_there_is_no_choice_are_refused(timm, tmp_path, capsys):
    save_file(timm[1], tmp_path / 'a')
    options = {'from': 'timm', 'network': NAME, 'raw': True}
    assert convert(tmp_path / 'a', tmp_path / 'b.safetensors', **options) == 2
    assert 'it holds only one set of weights' in capsys.readouterr().err


def test_a_network_that_is_there_twice_is_refused(timm):
    _, arrays = timm
    both = prefixed('student.', arrays) | prefixed('teacher.', arrays)
    with pytest.raises(ValueError, match=r'2 times, as student\., teacher\.'):
        unwrap(both, entries())


def test_a_checkpoint_of_pytorch_is_read_at_any_level(timm, tmp_path, monkeypatch):
    variables, arrays = timm
    ema, raw = (
        {f'module.{name}': Tensor(x) for name, x in each.items()}
        for each in (arrays, doubled(arrays))
    )
    checkpoint = {'epoch': 3, 'arch': 'v4', 'state_dict': raw, 'state_dict_ema': ema}
    install_torch(monkeypatch, checkpoint | {'optimizer': {'state': {0: {'step': 1}}}})
    path = write_zip(tmp_path / 'a.pth.tar', {'archive/data.pkl': b''})
    same(load(path).variables, variables)


OTHER_HEADS = {
    'none': {},
    'several layers': {
        'head.0.weight': np.zeros((7, 154), np.float32),
        'head.2.weight': np.zeros((5, 7), np.float32),
    },
    'of the same name': {'last_linear.weight': np.zeros((5, 9), np.float32)},
}


@pytest.fixture(params=OTHER_HEADS)
def headless(request, timm, tmp_path):
    """Returns variables, and the path of a file with another head than ours."""
    variables, arrays = timm
    trunk = {n: x for n, x in arrays.items() if not n.startswith('last_linear')}
    save_file(trunk | OTHER_HEADS[request.param], tmp_path / 'a')
    return variables, tmp_path / 'a'


def test_a_file_without_our_head_becomes_a_trunk(headless, tmp_path, capsys):
    variables, path = headless
    options = {'from': 'timm', 'network': NAME}
    assert convert(path, tmp_path / 'b.safetensors', **options) == 2
    printed = capsys.readouterr().err
    assert 'the trunk is whole: --trunk (trunk=True) converts it without' in printed
    assert printed.count('\n') == 1
    file = load(path, trunk=True)
    assert 'no head' in capsys.readouterr().out
    for collection in ('params', 'batch_stats'):
        trunk = variables[collection].keys() - {'logits'}
        same(
            *({n: x[collection][n] for n in trunk} for x in (file.variables, variables))
        )
    assert file.class_names == ()
    assert 'no head' in repr(file)
    opened = TrainedNetwork(*file)
    blocks = without_blocks(variables['params'], ('logits',))
    assert opened.parameters == sum(x.size for x in jax.tree.leaves(blocks))
    assert 'no head' in str(opened)


def test_a_trunk_computes_no_classes(timm, tmp_path):
    save_file(timm[1], tmp_path / 'a')
    file = load(tmp_path / 'a', trunk=True)
    for use in (
        lambda: compile_softmax(file, mirrored=False),
        lambda: export_trained(file),
    ):
        with pytest.raises(
            ValueError, match='have no head, which convert --trunk left'
        ):
            use()


def test_a_trunk_has_features(tmp_path):
    write_trunk(path := tmp_path / 'trunk.safetensors')
    trunk, images = (
        trained.load_weights(path, 'helpers.tiny:NET'),
        np.zeros((2, 16, 16, 3)),
    )
    assert features(trunk, images.astype(np.uint8), 'pool').shape == (2, 16)
    with pytest.raises(ValueError, match='have no head'):
        features(trunk, images.astype(np.uint8), 'logits')


def test_a_trunk_that_lacks_an_array_is_refused(timm, tmp_path, capsys):
    arrays = {n: x for n, x in timm[1].items() if n != 'features.0.conv.weight'}
    save_file(arrays, tmp_path / 'a')
    options = {'from': 'timm', 'network': NAME, 'trunk': True}
    assert convert(tmp_path / 'a', tmp_path / 'b.safetensors', **options) == 2
    assert '1 missing: features.0.conv.weight' in capsys.readouterr().err
