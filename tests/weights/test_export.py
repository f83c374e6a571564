"""Exports: what a process that has jax and nothing of ours makes of them."""

import datetime
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import tiny
from helpers.variables import random_variables

from inception_jax.data.augment import to_range
from inception_jax.model.classifier import Classifier
from inception_jax.networks.network import residual_scales
from inception_jax.networks.rules import with_scales
from inception_jax.weights.export import (
    FORMAT,
    export_network,
    load_export,
    save_export,
)

# The loader of the documentation, and a check of the packages that it imports.
LOADER = """
import sys
import jax, jax.export, numpy as np

def loaded(path):
    with np.load(path) as file:
        program = jax.export.deserialize(bytearray(file['program']))
        weights = {name: file[name] for name in file.files if '/' in name}
    call = jax.jit(program.call)
    return lambda *inputs: call(weights, *inputs)

folder = sys.argv[1]
with np.load(f'{folder}/inputs') as file:
    inputs = dict(file)
logits = {}
for case in sys.argv[2:]:
    name, *rest = case.split(',')
    apply = loaded(f'{folder}/{name}.npz')
    logits[case] = apply(*(inputs[key] for key in rest))
assert not {'inception_jax', 'flax', 'optax'} & set(sys.modules)
np.savez(f'{folder}/logits.npz', **logits)
"""

SIZES = (1, 3, 8)
SCALES = {'low': (0.1, 0.3), 'high': (0.9, 1.0)}
# By name, the options and what stands beside the images.
CASES = {
    'plain': ({}, [()]),
    'folded': ({'folded': True}, [()]),
    'scale': ({'scale_input': True}, [('low',), ('high',)]),
    'float': ({'pixels': 'float32'}, [()]),
    'both': ({'pixels': 'float32', 'folded': True}, [()]),
}
CALLS = [
    (name, f'{options.get("pixels", "uint8")}{size}', *rest)
    for name, (options, more) in CASES.items()
    for rest in more
    for size in SIZES
]


def classifier_logits(net, variables, images, scales=None):
    scales = residual_scales(net) if scales is None else scales
    outputs = Classifier(net, 0.9).apply(
        variables, images, train=False, residual_scale=jnp.array(scales)
    )
    return outputs.logits


def run(folder, *calls):
    """Returns the logits of a process that cannot import this package, by call."""
    completed = subprocess.run(
        [sys.executable, '-I', '-c', LOADER, folder, *map(','.join, calls)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert completed.returncode == 0, completed.stderr
    with np.load(folder / 'logits.npz') as file:
        return dict(file)


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Returns the variables, the inputs, and the logits by call."""
    folder = tmp_path_factory.mktemp('exports')
    variables = random_variables(tiny.NET)
    for name, (options, _) in CASES.items():
        save_export(
            folder / f'{name}.npz', export_network(tiny.NET, variables, **options)
        )
    inputs = {name: np.array(s, np.float32) for name, s in SCALES.items()}
    generator = np.random.default_rng(0)
    for size in SIZES:
        images = generator.integers(0, 256, (size, 16, 16, 3), np.uint8)
        inputs[f'uint8{size}'] = images
        inputs[f'float32{size}'] = np.array(to_range(images, tiny.NET.pixel_range))
    with (folder / 'inputs').open('wb') as file:
        np.savez(file, **inputs)
    return variables, inputs, run(folder, *CALLS)


def assert_close(actual, expected):
    largest = np.abs(expected).max()
    assert (actual.shape, actual.dtype) == (expected.shape, np.float32)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize('call', CALLS, ids=','.join)
def test_another_process_gives_the_logits_of_the_classifier(call, exported):
    variables, inputs, logits = exported
    _, images, *scales = call
    size = images.removeprefix('uint8').removeprefix('float32')
    images = inputs[f'float32{size}']
    scales = SCALES[scales[0]] if scales else None
    expected = classifier_logits(tiny.NET, variables, images, scales)
    assert_close(logits[','.join(call)], expected)


def test_the_scales_matter(exported):
    _, _, logits = exported
    assert np.abs(logits['scale,uint83,low'] - logits['scale,uint83,high']).max() > 0.1


@pytest.mark.parametrize('folded', [False, True])
def test_other_scales_are_those_of_another_network(folded, small):
    net = small('inception_resnet_v2_slim')
    net = with_scales(net, [0.1 * (i + 1) for i in range(len(residual_scales(net)))])
    variables = random_variables(net)
    export = export_network(net, variables, folded=folded, platforms=['cpu'])
    assert not any('auxiliary' in name for name in export.weights)
    images = np.random.default_rng(0).integers(0, 256, (2, 75, 75, 3), np.uint8)
    expected = jax.jit(classifier_logits, static_argnums=0)(
        net, variables, to_range(images, net.pixel_range)
    )
    assert_close(export.program.call(export.weights, images), expected)


def test_a_network_without_residual_blocks_is_exported():
    variables = random_variables(tiny.PLAIN)
    export = export_network(tiny.PLAIN, variables, folded=True, pixels='float32')
    images = np.ones((2, 16, 16, 3), np.float32)
    expected = classifier_logits(tiny.PLAIN, variables, images)
    assert_close(export.program.call(export.weights, images), expected)


def test_a_file_describes_itself(tmp_path):
    export = export_network(
        tiny.NET, random_variables(tiny.NET), platforms=('cuda', 'cpu')
    )
    assert export.program.platforms == ('cuda', 'cpu')
    save_export(tmp_path / 'new' / 'net.npz', export)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['net.npz']
    with np.load(tmp_path / 'new' / 'net.npz') as file:
        metadata = json.loads(str(file['about']))
        assert file['params/stem/conv0/kernel'].shape == (3, 3, 3, 8)
    assert metadata == {
        'format': FORMAT,
        'network': 'tiny',
        'classes': 10,
        'input_size': 16,
        'crop_fraction': 0.875,
        'square_crop': False,
        'interpolation': 'bilinear',
        'pixels': 'uint8',
        'pixel_range': [-1.0, 1.0],
        'residual_scales': [0.2, 0.2],
        'scale_input': False,
        'folded': False,
        'platforms': ['cuda', 'cpu'],
        'jax': jax.__version__,
        'made': str(today := datetime.date.today()),
        'expires': str(today + datetime.timedelta(days=180)),
    }
    assert f'valid     until {metadata["expires"]} (made {today}, jax ' in str(export)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, ''),
        ({'expires': '2026-01-31'}, 'expired on 2026-01-31, and newer JAX may not'),
        ({'expires': None}, 'has no date; JAX reads an export for six months'),
    ],
)
def test_an_old_export_is_read_with_a_note(changes, message, tmp_path, capsys):
    export = export_network(tiny.NET, random_variables(tiny.NET), platforms=['cpu'])
    aged = export._replace(metadata=export.metadata | changes)
    save_export(tmp_path / 'net.npz', aged)
    loaded = load_export(tmp_path / 'net.npz')
    assert loaded.weights.keys() == export.weights.keys()
    printed = capsys.readouterr().err
    assert message in printed
    assert bool(printed) == bool(changes)


def test_an_export_that_jax_cannot_read_is_one_line(tmp_path):
    path = tmp_path / 'net.npz'
    export = export_network(tiny.NET, random_variables(tiny.NET), platforms=['cpu'])
    metadata = json.dumps(export.metadata | {'expires': '2999', 'jax': '0.4.30'})
    np.savez(path, program=np.arange(9, dtype=np.uint8), about=metadata)
    with pytest.raises(ValueError, match=r'by jax 0\.4\.30, and jax .* cannot read'):
        load_export(path)
    program = np.arange(9, dtype=np.uint8)
    for save, arrays in (
        (np.savez, {'about': metadata}),
        (np.savez, {'about': metadata.replace('10', '"x"'), 'program': program}),
        (np.savez, {'about': metadata.replace('"2999"', '2999'), 'program': program}),
        (np.savez, {'about': metadata, 'program': program, 'a': np.array(['text'])}),
        # A bomb: it would unpack to 1,000 times its size.
        (np.savez_compressed, {'about': metadata, 'program': np.zeros(10**7, 'u1')}),
    ):
        save(path, **arrays)
        with pytest.raises(ValueError, match='is not an export of inception_jax'):
            load_export(path)
    with pytest.raises(ValueError, match='does not exist'):
        load_export(tmp_path / 'none.npz')


def test_the_same_network_gives_the_same_program():
    variables = random_variables(tiny.NET)
    once, again = (export_network(tiny.NET, variables) for _ in range(2))
    assert once.program.serialize() == again.program.serialize()


@pytest.mark.parametrize(
    ('net', 'options', 'message'),
    [
        (tiny.NET, {'folded': True, 'scale_input': True}, 'a folded network holds'),
        (tiny.PLAIN, {'scale_input': True}, 'plain has no residual blocks; export'),
        (tiny.NET, {'pixels': 'int8'}, "pixels 'int8' is none of uint8, float32"),
        (
            tiny.NET,
            {'platforms': ['gpu']},
            'platforms gpu; expected one or more',
        ),
        (tiny.NET, {'platforms': []}, 'platforms none; expected one or more of cpu'),
    ],
)
def test_wrong_options_are_refused_in_one_line(net, options, message):
    with pytest.raises(ValueError, match=message) as error:
        export_network(net, {}, **options)
    assert '\n' not in str(error.value)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    export = export_network(tiny.NET, random_variables(tiny.NET), platforms=['cpu'])
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        save_export(tmp_path / 'file' / 'net.npz', export)
    (tmp_path / 'net.npz').mkdir()
    with pytest.raises(OSError, match='net'):
        save_export(tmp_path / 'net.npz', export)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'net.npz']
