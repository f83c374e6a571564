"""convert as a user runs it, and what predict and evaluate make of its files."""

import json

import cv2
import jax
import numpy as np
import pytest
from helpers.conversions import CASES, LAST, made, network, read, same
from safetensors.numpy import save_file

from inception_jax.__main__ import main
from inception_jax.data.pipeline import evaluation_batches
from inception_jax.data.sources.arrays import Arrays
from inception_jax.model.classifier import Classifier
from inception_jax.weights import trained, weight_file
from inception_jax.weights.files import write


@pytest.mark.parametrize(('layout', 'name'), CASES, ids=map('-'.join, CASES))
def test_a_file_in_a_layout_becomes_one_of_ours(layout, name, tmp_path, capsys):
    variables, arrays = made(layout, name)
    path = tmp_path / ('a.h5' if layout == 'keras' else 'a.safetensors')
    write.write_arrays(path, arrays)
    loaded = trained.load_weights(
        read(path, layout, name, licence='MIT'), f'helpers.narrow:{name}'
    )
    assert loaded.network == network(layout, name)
    assert loaded.class_names == ('0', '1', '2', '3', '4')
    # Folding divides and multiplies by a factor.
    head, whole = (x['params'].pop('logits') for x in (loaded.variables, variables))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(
            x, y, rtol=1e-6 if layout in LAST else 0, atol=0
        ),
        head,
        whole,
    )
    same(loaded.variables, variables)
    assert 'licence         MIT' in capsys.readouterr().out


def test_the_json_has_the_preprocessing_of_the_layout(tmp_path):
    preprocessing = {}
    for layout, name in (('timm', 'V2'), ('facenet', 'V1'), ('slim', 'V4')):
        save_file(made(layout, name)[1], tmp_path / 'a')
        info = json.loads(
            weight_file.info_path(read(tmp_path / 'a', layout, name)).read_text()
        )
        preprocessing[layout] = tuple(info['preprocessing'].values())
        assert info['network'].get('batch_norm_gamma', False) == (layout == 'timm')
        assert info['origin']['files'] == {'a': weight_file.sha256(tmp_path / 'a')}
    assert preprocessing == {
        'timm': (75, 0.8975, True, 'smooth_bicubic', [-1.0, 1.0]),
        'facenet': (160, 1.0, False, 'float_bilinear', [-127.5 / 128, 127.5 / 128]),
        'slim': (75, 0.875, False, 'float_bilinear', [-1.0, 1.0]),
    }


def images(folder, sides):
    generator = np.random.default_rng(2)
    folder.mkdir()
    pictures = []
    for number, side in enumerate(sides):
        pictures.append(generator.integers(0, 256, (*side, 3), np.uint8))
        cv2.imwrite(str(folder / f'{number}.png'), pictures[-1][..., ::-1])
    return pictures


def predicted(path, name, folder, capsys):
    """Returns the probabilities of the classes for the images of a folder."""
    capsys.readouterr()
    options = [f'--weights={path}', f'--network=helpers.narrow:{name}', '--format=json']
    assert main(['predict', *options, str(folder)]) == 0
    predictions = json.loads(capsys.readouterr().out)
    rows = [
        {x['class']: x['probability'] for x in image['classes']}
        for image in predictions
    ]
    return [[row[str(label)] for label in range(5)] for row in rows]


def softmax(net, variables, pixels):
    with jax.default_matmul_precision('highest'):
        apply = jax.jit(lambda v, x: Classifier(net, 0.9).apply(v, x, train=False))
        return jax.nn.softmax(apply(variables, np.float32(pixels)).logits)


def test_faces_are_seen_as_facenet_sees_them(tmp_path, capsys):
    variables, arrays = made('facenet', 'V1')
    save_file(arrays, tmp_path / 'a')
    path = read(tmp_path / 'a', 'facenet', 'V1')
    pixels = np.stack(images(tmp_path / 'images', 4 * [(160, 160)]))
    probabilities = predicted(path, 'V1', tmp_path / 'images', capsys)
    expected = softmax(network('facenet', 'V1'), variables, (pixels - 127.5) / 128)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


def test_images_are_seen_as_timm_sees_them(tmp_path, capsys):
    variables, arrays = made('timm', 'V4')
    save_file(arrays, tmp_path / 'a')
    path = read(tmp_path / 'a', 'timm', 'V4')
    pixels = images(tmp_path / 'images', [(90, 120), (150, 100), (75, 75), (64, 200)])
    crops = evaluation_batches(
        Arrays(pixels, np.zeros(4, int), tuple('0123'), ('a',)),
        batch_size=4,
        size=75,
        crops=1,
        crop_fraction=0.875,
        square_crop=True,
        interpolation='smooth_bicubic',
    )
    probabilities = predicted(path, 'V4', tmp_path / 'images', capsys)
    inputs = next(crops)['image'] / np.float32(127.5) - 1
    expected = softmax(network('timm', 'V4'), variables, inputs)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


def classes_file(path, names):
    path.write_text(''.join(f'{name}\n' for name in names))
    return path


def test_the_background_of_1001_classes_goes_unless_it_is_named(tmp_path):
    variables, arrays = made('slim', 'V3', classes=1001)
    save_file(arrays, tmp_path / 'a')
    loaded = trained.load_weights(
        read(tmp_path / 'a', 'slim', 'V3'), 'helpers.narrow:V3'
    )
    assert loaded.class_names[:2] == ('n01440764', 'n01443537')
    assert len(loaded.class_names) == loaded.network.classes == 1000
    converted, head = (
        x['params']['logits']['dense0'] for x in (loaded.variables, variables)
    )
    same(converted, {name: x[..., 1:] for name, x in head.items()})
    names = tmp_path / 'names'
    names.write_text(''.join(f'{name}\n' for name in ('nothing', *range(1000))))
    (tmp_path / 'more').mkdir()
    (tmp_path / 'a').rename(tmp_path / 'more' / 'a')
    path = read(tmp_path / 'more' / 'a', 'slim', 'V3', classes=names)
    loaded = trained.load_weights(path, 'helpers.narrow:V3')
    assert loaded.class_names[:2] == ('nothing', '0')
    same(loaded.variables, variables)


def test_the_auxiliary_head_is_kept_on_request(tmp_path):
    for layout, name in (('slim', 'V4'), ('torchvision', 'V3_TORCHVISION')):
        variables, arrays = made(layout, name, auxiliary=True)
        save_file(arrays, tmp_path / 'a')
        path = read(tmp_path / 'a', layout, name, auxiliary=True)
        loaded = trained.load_weights(path, f'helpers.narrow:{name}')
        assert loaded.network.auxiliary
        same(loaded.variables, variables)
