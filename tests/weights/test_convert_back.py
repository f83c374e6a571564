"""convert to the layouts of others and from runs, and what it refuses in one line."""

import json

import h5py
import numpy as np
import pytest
from helpers.conversions import (
    CASES,
    LAST,
    convert,
    layout_of,
    made,
    read,
    same,
    without,
)
from helpers.training import arguments
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from inception_jax.__main__ import main
from inception_jax.commands import convert as command_module
from inception_jax.evaluation import evaluate, probabilities
from inception_jax.weights import trained, weight_file
from inception_jax.weights.layouts import catalogue


def ours(path, layout, name, scales=None):
    """Writes a file of ours, and returns its variables and those of its layout."""
    variables, arrays = made(layout, name)
    section = {'name': f'helpers.narrow:{name}', **layout_of(layout, name).fields}
    info = weight_file.WeightInfo(
        section | {'auxiliary': False}, tuple('01234'), scales, {}, None
    )
    weight_file.write_weight_file(path, info, variables)
    return variables, arrays


BACK = [case for case in CASES if case[0] not in LAST]


@pytest.mark.parametrize(('layout', 'name'), BACK, ids=map('-'.join, BACK))
def test_a_layout_and_back_is_exact(layout, name, tmp_path):
    variables, arrays = ours(tmp_path / 'a.safetensors', layout, name)
    ending = 'h5' if layout == 'keras' else 'safetensors'
    path = tmp_path / f'theirs.{ending}'
    options = {'to': layout, 'network': f'helpers.narrow:{name}'}
    assert convert(tmp_path / 'a.safetensors', path, **options) == 0
    assert not path.with_suffix('.json').exists()
    if layout != 'keras':
        same(load_file(path), arrays)
    loaded = trained.load_weights(read(path, layout, name), f'helpers.narrow:{name}')
    same(loaded.variables, variables)


def test_keras_finds_the_layers_of_its_file(tmp_path):
    _, arrays = ours(tmp_path / 'a.safetensors', 'keras', 'V3')
    # The JSON that describes our file may stay beside the output.
    options = {'to': 'keras', 'network': 'helpers.narrow:V3'}
    assert convert(tmp_path / 'a.safetensors', tmp_path / 'a.h5', **options) == 0
    stored = {}
    with h5py.File(tmp_path / 'a.h5') as file:
        for layer in file.attrs['layer_names']:
            for name in file[layer].attrs['weight_names']:
                stored[name] = file[layer][name][()]
    same(stored, arrays)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run') / 'low'
    changes = {'run__epochs': 1, 'hparams__residual_scale': 0.05}
    assert main(arguments(folder, **changes)) == 0
    return folder


def evaluated(path, capsys, *options):
    """Returns errors and probabilities of an evaluation."""
    capsys.readouterr()
    options = ['evaluate', *options, f'--output={path}', '--format=json']
    assert main(options) == 0
    return json.loads(capsys.readouterr().out)[
        'errors'
    ], probabilities.load_probabilities(path)


def test_a_run_becomes_a_file_that_evaluates_the_same(run, tmp_path, capsys):
    path = tmp_path / 'a.safetensors'
    assert convert(run, path) == 0
    assert 'residual scales of the run' in capsys.readouterr().out
    info = json.loads(weight_file.info_path(path).read_text())
    assert info['residual_scale'] == pytest.approx([0.05, 0.05])
    assert info['origin'] == {'run': 'low', 'seed': 0, 'step': 8} | {
        'parameters': 'averages'
    }
    images = ('--source=synthetic:64/4', '--split=test')
    errors, predictions = evaluated(tmp_path / '1.npz', capsys, f'--workdir={run}')
    of_file = (f'--weights={path}', '--network=helpers.tiny:NET', *images)
    others, other = evaluated(tmp_path / '2.npz', capsys, *of_file)
    assert errors == others
    np.testing.assert_allclose(predictions.softmax, other.softmax, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(predictions.labels, other.labels)


def refused(capsys, *command, **options):
    """Returns why convert refuses a command, in one line."""
    capsys.readouterr()
    assert convert(*command, **options) == 2
    printed = capsys.readouterr()
    assert printed.out == ''
    assert printed.err.count('\n') == 1
    assert printed.err.startswith('inception-jax convert: ')
    return printed.err


KERNEL = 'features.2.conv.weight'
CHANGES = {
    'missing': (lambda x: without(x, KERNEL), f'1 missing: {KERNEL}\n'),
    'extra': (lambda x: x | {'top.bias': np.ones(3)}, '1 not expected: top.bias\n'),
    'transposed': (
        lambda x: x | {KERNEL: np.ascontiguousarray(x[KERNEL].transpose(2, 3, 1, 0))},
        f'1 of another shape: {KERNEL} 3x3x3x6, expected 6x3x3x3\n',
    ),
    'not finite': (
        lambda x: x | {'last_linear.bias': np.full(5, np.nan, np.float32)},
        '1 not finite, or a variance below 0: last_linear.bias',
    ),
}


@pytest.fixture(scope='module')
def theirs(tmp_path_factory):
    """Returns a file of timm's, and its arrays."""
    path = tmp_path_factory.mktemp('theirs') / 'theirs.safetensors'
    save_file(arrays := made('timm', 'V4')[1], path)
    return path, arrays


FROM = {'from': 'timm', 'network': 'helpers.narrow:V4'}


@pytest.mark.parametrize('name', CHANGES)
def test_a_file_with_other_arrays_is_refused(name, theirs, tmp_path, capsys):
    change, message = CHANGES[name]
    save_file(change(theirs[1]), tmp_path / 'a')
    text = refused(capsys, tmp_path / 'a', tmp_path / 'b.safetensors', **FROM)
    assert f'{tmp_path / "a"} as helpers.narrow:V4 of timm: {message}' in text
    assert not (tmp_path / 'b.safetensors').exists()


@pytest.mark.parametrize('layout', LAST)
def test_a_batch_norm_that_cannot_be_folded_is_refused(layout, tmp_path, capsys):
    arrays = made(layout, 'V1')[1]
    arrays[LAST[layout][4]][2] = -2.0
    save_file(arrays, tmp_path / 'a')
    options = {'from': layout, 'network': 'helpers.narrow:V1'}
    text = refused(capsys, tmp_path / 'a', tmp_path / 'b.safetensors', **options)
    assert f': 2 not finite, or a variance below 0: {LAST[layout][0]}, ' in text


def test_a_file_of_another_network_is_refused(theirs, tmp_path, capsys):
    wrong = {'from': 'timm', 'network': 'helpers.narrow:V2'}
    text = refused(capsys, theirs[0], tmp_path / 'b.safetensors', **wrong)
    assert ' missing: conv2d_1a.conv.weight, ' in text
    assert ' not expected: features.0.bn.bias, ' in text
    slim = {'from': 'slim', 'network': 'helpers.narrow:V4'}
    assert ' missing: InceptionV4/Conv2d_1a_3x3/weights, ' in refused(
        capsys, theirs[0], tmp_path / 'b.safetensors', **slim
    )


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'network': 'helpers.narrow:V1'},
            'timm has no inception_resnet_v1_facenet; it has',
        ),
        ({'network': 'inception_v9'}, "unknown network 'inception_v9'"),
        ({'network': 'nowhere:NET'}, "cannot load network 'nowhere:NET'"),
        (
            {'network': None},
            '(--from) needs the name of its network; add --network NAME',
        ),
        (
            {'from': None, 'auxiliary': True},
            'auxiliary goes with the layout of the input (--from)',
        ),
        ({'from': None, 'class-names': 'names'}, '--class-names goes with --from'),
        ({'from': None}, 'theirs.safetensors is not the folder of a run; give the lay'),
        (
            {'to': 'timm', 'from': None, 'licence': 'MIT'},
            'a licence is part of weight files only',
        ),
        ({'to': 'timm', 'from': None}, 'theirs.json is missing'),
        ({'class-names': 'nowhere.txt'}, '--class-names nowhere.txt cannot be read'),
        ({'from': None, 'epochs': '3'}, 'unknown argument --epochs=3; see --help'),
    ],
)
def test_options_that_are_wrong_are_one_line(
    changes, message, theirs, tmp_path, capsys
):
    options = {n: x for n, x in (FROM | changes).items() if x is not None}
    assert message in refused(capsys, theirs[0], tmp_path / 'b.safetensors', **options)


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (
            'abcd',
            'the file has 5 classes, and class_names has 4 names; name each class once',
        ),
        (
            'abcdef',
            'the file has 5 classes, and class_names has 6 names; name each class once',
        ),
        ('abcda', 'names a twice; classes need distinct names'),
        ('', 'the file has 5 classes, and class_names has 0 names'),
    ],
)
def test_every_class_is_named_once(names, message, theirs, tmp_path, capsys):
    (tmp_path / 'names').write_text('\n'.join(names))
    options = FROM | {'class-names': tmp_path / 'names'}
    output = tmp_path / 'b.safetensors'
    assert message in refused(capsys, theirs[0], output, **options)


def test_names_of_classes_are_taken_without_marks_and_empty_lines(theirs, tmp_path):
    (tmp_path / 'names').write_text('\ufeffant\r\n bee\n\ncow\ndog \neel\n')
    output = tmp_path / 'b.safetensors'
    assert (
        convert(theirs[0], output, **FROM, **{'class-names': tmp_path / 'names'}) == 0
    )
    assert weight_file.find_weights(output).info.classes == (
        'ant',
        'bee',
        'cow',
        'dog',
        'eel',
    )


@pytest.mark.parametrize('name', ['b.safetensors', 'b.json'])
def test_existing_files_are_not_overwritten(name, theirs, tmp_path, capsys):
    (tmp_path / name).write_text('before')
    text = refused(capsys, theirs[0], tmp_path / 'b.safetensors', **FROM)
    assert f'{name} exists already; name another output' in text
    assert [x.read_text() for x in tmp_path.iterdir()] == ['before']


def test_files_that_cannot_be_are_one_line(theirs, run, tmp_path, capsys):
    output = tmp_path / 'b.safetensors'
    assert 'nowhere does not exist' in refused(
        capsys, tmp_path / 'nowhere', output, **FROM
    )
    assert 'is a folder; name a file in it' in refused(capsys, tmp_path, output, **FROM)
    assert 'b.h5 is not a weight file' in refused(
        capsys, theirs[0], tmp_path / 'b.h5', **FROM
    )
    assert refused(capsys, tmp_path, output)
    assert "'helpers.tiny:NET', not 'inception_v4'" in refused(
        capsys, run, output, network='inception_v4'
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(theirs, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise SafetensorError('I/O error: No space left on device')

    monkeypatch.setattr('safetensors.numpy.save_file', full)
    assert convert(theirs[0], tmp_path / 'b.safetensors', **FROM) == 1
    message = 'cannot be written (I/O error: No space left on device)\n'
    assert capsys.readouterr().err.endswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('name', 'layout', 'ending', 'message'),
    [
        ('V1', 'facenet', 'safetensors', 'is read only: its embedding is two layers'),
        ('V1', 'facenet_pytorch', 'safetensors', 'facenet_pytorch is read only'),
        ('V1', 'timm', 'safetensors', 'timm has no inception_resnet_v1_facenet'),
        ('V2', 'torchvision', 'safetensors', 'torchvision has no inception_resnet_v2'),
        ('V2', 'timm', 'h5', 'cannot be a file of timm; expected FILE.safetensors'),
        ('V2', 'slim', 'ckpt', 'cannot be a file of slim; expected FILE.safetensors'),
        ('V2', 'keras', 'weights.h5', 'expected FILE.safetensors or FILE.h5'),
        ('V2', 'keras', 'keras', 'expected FILE.safetensors or FILE.h5'),
    ],
)
def test_a_network_that_a_layout_cannot_hold_is_refused(
    name, layout, ending, message, tmp_path, capsys
):
    ours(tmp_path / 'a.safetensors', 'facenet' if name == 'V1' else 'timm', name)
    options = {'to': layout, 'network': f'helpers.narrow:{name}'}
    output = tmp_path / f'b.{ending}'
    assert message in refused(capsys, tmp_path / 'a.safetensors', output, **options)
    assert not output.exists()


def test_other_residual_scales_than_those_of_a_layout_are_refused(tmp_path, capsys):
    paths = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    ours(paths[0], 'timm', 'V2', scales=(0.17, 0.1, 0.2, 0.5))
    options = {'to': 'timm', 'network': 'helpers.narrow:V2'}
    assert 'to other residual scales than those of inception_resnet_v2_slim' in refused(
        capsys, *paths, **options
    )
    ours(paths[0], 'timm', 'V2', scales=(0.17, 0.1, 0.2, 1.0))
    assert convert(*paths, **options) == 0


def test_the_same_evaluation_again_is_read_from_its_file(run, tmp_path, monkeypatch):
    path = tmp_path / 'low.safetensors'
    assert main(['convert', str(run), str(path)]) == 0
    command = ['evaluate', f'--weights={path}', '--network=helpers.tiny:NET']
    command += ['--source=synthetic:16/4', '--split=test']
    assert main(command) == 0
    monkeypatch.setattr(evaluate, 'compute_probabilities', None)
    assert main(command) == 0


def test_a_network_without_residual_blocks_has_its_own_scales(tmp_path):
    changes = {'network__name': 'helpers.tiny:PLAIN', 'run__epochs': 1}
    assert main(arguments(tmp_path / 'run', **changes)) == 0
    assert convert(tmp_path / 'run', tmp_path / 'a.safetensors') == 0
    assert (
        weight_file.find_weights(tmp_path / 'a.safetensors').info.residual_scale is None
    )


@pytest.mark.parametrize(
    'field', [{'pixel_range': (0.0, 1.0)}, {'batch_norm_epsilon': 0.1}]
)
def test_a_network_that_differs_from_their_code_is_refused(field, tmp_path, capsys):
    variables, _ = made('slim', 'V4')
    info = weight_file.WeightInfo(
        {'name': 'helpers.narrow:V4', 'auxiliary': False, **field},
        tuple('01234'),
        None,
        {},
        None,
    )
    weight_file.write_weight_file(tmp_path / 'a.safetensors', info, variables)
    options = {'to': 'slim', 'network': 'helpers.narrow:V4'}
    text = refused(
        capsys, tmp_path / 'a.safetensors', tmp_path / 'b.safetensors', **options
    )
    assert f'to a network with {next(iter(field))}' in text


def test_variables_that_a_layout_does_not_have_are_refused(tmp_path, capsys):
    ours(tmp_path / 'a.safetensors', 'timm', 'V4')
    options = {'to': 'slim', 'network': 'helpers.narrow:V4'}
    text = refused(
        capsys, tmp_path / 'a.safetensors', tmp_path / 'b.safetensors', **options
    )
    assert 'slim has no place for' in text
    assert 'params/stem/conv0/bn/scale' in text


def test_a_weight_file_is_not_converted_again(tmp_path, capsys):
    ours(tmp_path / 'a.safetensors', 'timm', 'V4')
    text = refused(
        capsys, tmp_path / 'a.safetensors', tmp_path / 'b.safetensors', **FROM
    )
    assert 'is a weight file already; see --to' in text


@pytest.mark.parametrize('std', ['0,1,1', '1,-1,1'])
def test_a_deviation_that_cannot_be_is_refused(std, theirs, tmp_path, capsys):
    command = [
        'convert',
        str(theirs[0]),
        str(tmp_path / 'b.safetensors'),
        '--from=timm',
    ]
    command += ['--network=helpers.narrow:V4', '--normalised', '0.5,0.5,0.5', std]
    assert main(command) == 2
    assert '(--normalised) has a STD of 0 or below' in capsys.readouterr().err


def test_the_layouts_of_the_command_are_those_there_are():
    assert tuple(catalogue.LAYOUTS) == command_module.LAYOUTS
