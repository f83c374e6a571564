"""Probabilities of images: whole, the same however they are computed, and kept."""

import functools

import jax
import numpy as np
import pytest
from helpers.tiny import NET

from inception_jax.data import augment
from inception_jax.data.crops import mirrored, number_of_views
from inception_jax.data.pipeline import evaluation_batches, note_unreadable
from inception_jax.data.sources.arrays import Arrays
from inception_jax.evaluation import probabilities
from inception_jax.evaluation.compute import compute_probabilities
from inception_jax.evaluation.probabilities import Probabilities
from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.parallel.compile import compile_evaluation
from inception_jax.parallel.mesh import device_mesh, put_batch
from inception_jax.steps.eval_step import softmax_step

IMAGES = 100
NAMES = tuple('abcdefghij')


@pytest.fixture(scope='module')
def source():
    """Returns images of noise, wide ones and upright ones."""
    rng = np.random.default_rng(0)
    shapes = [(20, 31, 3), (29, 18, 3), (24, 24, 3)]
    images = [
        rng.integers(256, size=shapes[i % 3]).astype(np.uint8) for i in range(IMAGES)
    ]
    ids = tuple(f'photo/{i}' for i in range(IMAGES))
    return Arrays(images, np.arange(IMAGES) % 10, ids, NAMES)


@pytest.fixture(scope='module')
def variables():
    return initial_variables(NET, seed=0, scheme='he')


@functools.cache
def compiled(crops):
    step = functools.partial(
        softmax_step,
        classifier=Classifier(NET, 0.99),
        scale=functools.partial(augment.to_range, pixel_range=NET.pixel_range),
        mirrored=mirrored(crops),
    )
    mesh = device_mesh(1, jax.devices()[:1])
    return compile_evaluation(step, mesh), mesh


def evaluate(source, variables, crops, kept, *, batch_size=20, begun=None, stretch=40):
    step, mesh = compiled(crops)
    scales = np.float32(0.2)

    def batches(some_source, indices):
        return evaluation_batches(
            some_source,
            batch_size=batch_size,
            size=16,
            crops=crops,
            crop_fraction=0.875,
            indices=indices,
            unreadable=note_unreadable,
        )

    return compute_probabilities(
        lambda batch: step(variables, scales, put_batch(batch, mesh)),
        batches,
        source,
        views=number_of_views(crops),
        part_size=stretch,
        metadata={'crops': crops},
        earlier=begun,
        partial_path=kept / 'kept.npz',
    )


def same(first, second):
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.labels, second.labels)
    np.testing.assert_allclose(first.softmax, second.softmax, rtol=0, atol=1e-6)


@pytest.mark.parametrize('crops', [1, 10, 12, 144])
def test_every_image_has_the_mean_softmax_of_its_crops(
    crops, source, variables, tmp_path
):
    evaluated = evaluate(source, variables, crops, tmp_path)
    assert evaluated.ids.tolist() == list(source.ids)
    assert evaluated.labels.tolist() == source.labels.tolist()
    assert evaluated.metadata == {'crops': crops, 'unreadable': 0}
    np.testing.assert_allclose(evaluated.softmax.sum(1), 1, atol=1e-5)
    (batch,) = evaluation_batches(
        source,
        batch_size=number_of_views(crops),
        size=16,
        crops=crops,
        crop_fraction=0.875,
        indices=range(7, 8),
    )
    images = augment.to_range(batch['image'], NET.pixel_range)
    if crops > 1:
        images = np.concatenate([images, images[:, :, ::-1]])
    assert len(images) == crops
    outputs = Classifier(NET, 0.99).apply(
        variables, images, train=False, residual_scale=np.float32(0.2)
    )
    expected = jax.nn.softmax(outputs.logits).mean(0)
    np.testing.assert_allclose(evaluated.softmax[7], expected, atol=1e-5)


def test_144_crops_are_the_same_for_every_size_of_batch(source, variables, tmp_path):
    single, seven, many = (
        evaluate(source, variables, 144, tmp_path, batch_size=size, stretch=stretch)
        for size, stretch in ((1, 50), (7, 14), (64, 100))
    )
    assert len(single.ids) == len(seven.ids) == len(many.ids) == IMAGES
    same(single, many)
    same(seven, many)


def test_images_that_cannot_be_read_have_no_row(source, variables, tmp_path):
    whole = evaluate(source, variables, 12, tmp_path)
    images = [b'' if i in (0, 57) else x for i, x in enumerate(source.images)]
    holed = Arrays(images, source.labels, source.ids, NAMES)
    evaluated = evaluate(holed, variables, 12, tmp_path)
    assert evaluated.metadata['unreadable'] == 2
    rest = np.delete(np.arange(IMAGES), [0, 57])
    fields = whole.ids[rest], whole.labels[rest], whole.softmax[rest]
    same(evaluated, Probabilities(*fields, {}))


def test_an_interrupted_evaluation_resumes(source, variables, tmp_path):
    class Interrupted(Arrays):
        def __getitem__(self, index):
            if index == 70:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    class Unread(Arrays):
        def __getitem__(self, index):
            assert index >= 40
            return super().__getitem__(index)

    whole = evaluate(source, variables, 10, tmp_path)
    fields = source.images, source.labels, source.ids, source.class_names
    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(*fields), variables, 10, tmp_path)
    begun = probabilities.load_probabilities(tmp_path / 'kept.npz')
    assert begun.metadata == {'crops': 10, 'done': 40}
    resumed = evaluate(Unread(*fields), variables, 10, tmp_path, begun=begun)
    assert np.array_equal(resumed.softmax, whole.softmax)
    same(resumed, whole)
    assert resumed.metadata == whole.metadata
    assert not (tmp_path / 'kept.npz').exists()


def members(count=4):
    rng = np.random.default_rng(0)
    ids, labels = np.array(['a', 'b', 'c']), np.array([0, 1, 2], np.int32)
    return [
        Probabilities(
            ids,
            labels,
            rng.random((3, 4)).astype(np.float32),
            {'seed': i, 'classes': list('abcd')},
        )
        for i in range(count)
    ]


def test_an_ensemble_of_files_is_the_mean_of_its_members(tmp_path):
    four = members()
    for i, member in enumerate(four):
        probabilities.save_probabilities(tmp_path / f'{i}.npz', member)
    files = [probabilities.load_probabilities(tmp_path / f'{i}.npz') for i in range(4)]
    mean = probabilities.ensemble(files)
    average = np.mean([member.softmax.astype(np.float64) for member in four], axis=0)
    np.testing.assert_allclose(mean.softmax, average, rtol=1e-6)
    assert mean.metadata['ensemble'] == [{'seed': i} for i in range(4)]
    assert mean.metadata['classes'] == list('abcd')
    assert mean.ids.tolist() == ['a', 'b', 'c']


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('ids', np.array(['a', 'b', 'd']), 'file 2 have different ids .*first a'),
        ('ids', np.array(['b', 'a', 'c']), 'file 2 have different ids .*first b'),
        ('labels', np.array([0, 1, 1]), 'file 2 have different labels'),
        ('metadata', {'classes': list('abcde')}, 'has 4 classes, and file 2 has 5'),
    ],
)
def test_an_ensemble_of_other_images_or_labels_is_refused(field, value, message):
    first, second = members(2)
    second = Probabilities(**(vars(second) | {field: value}))
    with pytest.raises(ValueError, match=message):
        probabilities.ensemble([first, second])


def test_a_file_without_probabilities_is_refused(tmp_path):
    path = tmp_path / 'x.npz'
    with pytest.raises(ValueError, match='there is no such file'):
        probabilities.load_probabilities(path)
    path.write_bytes(b'PK nothing')
    with pytest.raises(ValueError, match='is not a file of probabilities'):
        probabilities.load_probabilities(path)
    np.savez(path, labels=np.zeros(3))
    with pytest.raises(ValueError, match='is not a file of probabilities'):
        probabilities.load_probabilities(path)
