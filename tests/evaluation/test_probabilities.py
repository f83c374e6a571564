"""Probabilities of images: whole, the same however they are computed, and kept."""

import contextlib
import dataclasses
import functools
import json

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
        metadata={'crops': crops, 'classes': list(NAMES)},
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
    assert (evaluated.metadata['crops'], evaluated.metadata['unreadable']) == (crops, 0)
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
    assert begun.metadata == {'crops': 10, 'classes': list(NAMES), 'done': 40}
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
            rng.dirichlet(np.ones(4), 3).astype(np.float32),
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


def test_an_ensemble_of_images_with_the_same_names_is_refused():
    before = {'images': 3, 'classes': 4, 'class_names': 'x', 'listing': 'y'}
    first, second = (
        dataclasses.replace(
            member,
            metadata=member.metadata | {'images': before | {'content': content}},
        )
        for member, content in zip(members(2), 'ab', strict=True)
    )
    with pytest.raises(ValueError, match=r'are of different images \(the content of'):
        probabilities.ensemble([first, second])
    assert probabilities.ensemble([first, first]).metadata['ensemble'][0]['images']


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


FILE = vars(members()[0])


def written(path, **changes):
    """Writes a file of probabilities by hand, with some of its arrays changed."""
    metadata = {'format': 1, 'classes': list('abcd')} | changes.pop('metadata', {})
    arrays = {n: FILE[n] for n in probabilities.ARRAYS}
    np.savez(path, **arrays | {'about': json.dumps(metadata)} | changes)
    return path


ROW = [[0.25] * 4] * 2


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'labels': np.array([0, -1, 2])}, 'the label of b is -1, of 4 classes'),
        ({'labels': np.array([0, 1, 4])}, 'the label of c is 4'),
        ({'labels': np.array([0, 1])}, r'shapes \[3\], \[2\] and \[3, 4\]'),
        ({'labels': np.array([0.0, 1.0, 2.0])}, 'labels has the type float64'),
        ({'labels': np.array(['0', '1', '2'])}, 'labels has the type <U1'),
        ({'ids': np.array(['a', 'a', 'c'])}, 'two images have the same id'),
        ({'ids': np.array([1, 2, 3])}, 'ids has the type int64'),
        ({'ids': np.array('abc')}, r'shapes \[\]'),
        ({'ids': np.array([{}, 1, 2], object)}, 'ids has the type object'),
        ({'softmax': np.array([*ROW, [0.5, 0.5, 1, 0]])}, 'softmax of c is not from'),
        ({'softmax': np.array([*ROW, [1.5, -0.5, 0, 0]])}, 'softmax of c is not from'),
        ({'softmax': np.array([*ROW, [np.nan, 1, 0, 0]])}, 'softmax of c is not from'),
        ({'softmax': np.array([*ROW, [np.inf, 0, 0, 0]])}, 'softmax of c is not from'),
        ({'softmax': np.ones((3, 1))}, 'with 4 classes'),
        ({'metadata': {'classes': list('abca')}}, 'two classes have the same name'),
        ({'metadata': {'classes': 4}}, 'about: classes is 4, expected list of str'),
        ({'metadata': {'done': 'x'}}, "done is 'x'"),
        ({'metadata': {'done': -1}}, 'done is -1'),
        ({'metadata': {'unreadable': 'x'}}, "unreadable is 'x'"),
        ({'metadata': {'ensemble': {}}}, 'ensemble is {}'),
        ({'metadata': {'ensemble': [{'unreadable': []}]}}, 'unreadable is'),
        ({'metadata': {'format': 2}}, 'of another version'),
        ({'about': '[' * 100_000}, 'about: it is nested too deeply'),
        ({'more': np.zeros(3)}, 'expected the arrays ids, labels, softmax, about'),
    ],
)
def test_a_file_that_no_evaluation_wrote_is_refused(changes, message, tmp_path):
    path = written(tmp_path / 'x.npz', **changes)
    with pytest.raises(ValueError, match=message) as error:
        probabilities.load_probabilities(path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path):
    bomb = tmp_path / 'bomb.npz'
    arrays = {n: FILE[n] for n in ('ids', 'labels')} | {'about': '{}'}
    np.savez_compressed(bomb, **arrays, softmax=np.zeros((3, 10**6), np.float32))
    with pytest.raises(ValueError, match=r'would unpack from .* bytes to 12,0'):
        probabilities.load_probabilities(bomb)
    path = written(tmp_path / 'promise.npz')
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'shape': (3, 4)", b"'shape': (3,9**9"))
    with pytest.raises(ValueError, match='is not a file of probabilities'):
        probabilities.load_probabilities(path)


@pytest.mark.parametrize('seed', range(3))
def test_a_damaged_file_is_refused_or_read_and_never_a_riddle(seed, tmp_path):
    path = written(tmp_path / 'x.npz')
    content, generator = path.read_bytes(), np.random.default_rng(seed)
    for _ in range(100):
        damaged = bytearray(content[: generator.integers(1, len(content) + 1)])
        for place in generator.integers(len(damaged), size=generator.integers(1, 9)):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):
            probabilities.load_probabilities(path)


def test_a_diverged_network_has_a_result_and_is_no_member_of_an_ensemble(tmp_path):
    softmax = np.full((3, 4), np.nan, np.float32)
    diverged = probabilities.load_probabilities(
        written(tmp_path / 'x.npz', softmax=softmax)
    )
    assert diverged.scores.top_1.error == 100.0
    with pytest.raises(ValueError, match='file 2 has no probabilities for 3 images'):
        probabilities.ensemble([members()[0], diverged])
