"""Streams of batches: complete, repeatable, and the same however they are read."""

import dataclasses
import errno
import itertools
import os

import cv2
import numpy as np
import pytest
from PIL import Image

from inception_jax.data.example import Unreadable
from inception_jax.data.geometry import Box
from inception_jax.data.pipeline import (
    evaluation_batches,
    note_unreadable,
    training_batches,
)
from inception_jax.data.prefetch import LostWorker
from inception_jax.data.resize import crop_and_resize
from inception_jax.data.sources.arrays import Arrays
from inception_jax.data.sources.open import open_source

EXAMPLES = 10
RANGES = {'area': (0.05, 1), 'aspect': (3 / 4, 4 / 3)}


@pytest.fixture
def source():
    """Returns ten images of noise, whose labels are their indices."""
    images = np.random.default_rng(0).integers(256, size=(EXAMPLES, 20, 30, 3))
    names = tuple(map(str, range(EXAMPLES)))
    return Arrays(images.astype(np.uint8), np.arange(EXAMPLES), names, names)


def train(source, steps, *, batch_size=4, seed=0, **options):
    """Returns so many batches as one, a row per step and batch."""
    stream = training_batches(
        source,
        batch_size=batch_size,
        size=16,
        seed=seed,
        **RANGES | options,
    )
    batches = list(itertools.islice(stream, steps))
    stream.close()
    return {key: np.stack([b[key] for b in batches]) for key in batches[0]}


def evaluate(source, *, batch_size=4, crop_fraction=0.875, **options):
    return list(
        evaluation_batches(
            source,
            batch_size=batch_size,
            size=16,
            crop_fraction=crop_fraction,
            **{'crops': 1} | options,
        )
    )


def assert_same(batch, other):
    for key in batch:
        assert np.array_equal(batch[key], other[key]), key


def test_a_batch_has_the_announced_types(source):
    batch = {key: value[0] for key, value in train(source, 1).items()}
    kinds = {key: (value.dtype.name, value.shape) for key, value in batch.items()}
    assert kinds == {
        'image': ('uint8', (4, 16, 16, 3)),
        'label': ('int32', (4,)),
        'example': ('uint32', (4,)),
    }
    assert np.array_equal(batch['label'], batch['example'])


def test_every_example_comes_once_an_epoch_across_batch_borders(source):
    examples = train(source, 15, batch_size=4)['example'].reshape(6, EXAMPLES)
    assert (np.sort(examples) == np.arange(EXAMPLES)).all()


def test_the_order_and_the_crops_change_from_epoch_to_epoch(source):
    epochs = train(source, 6, batch_size=EXAMPLES)
    assert len(set(map(tuple, epochs['example']))) == 6
    crops = [
        images[order.argsort()[0]]
        for order, images in zip(epochs['example'], epochs['image'], strict=True)
    ]
    assert len({crop.tobytes() for crop in crops}) == 6


def test_the_stream_is_the_same_for_one_and_four_threads(source):
    assert_same(train(source, 9, threads=1), train(source, 9, threads=4))


@pytest.mark.parametrize('workers', [1, 2, 8])
def test_the_stream_is_the_same_from_worker_processes(source, workers):
    whole = train(source, 12)
    assert_same(train(source, 12, workers=workers), whole)


@pytest.mark.parametrize('workers', [0, 2])
def test_a_batch_keeps_its_values_and_its_memory(source, workers):
    stream = training_batches(
        source, batch_size=4, size=128, seed=0, workers=workers, **RANGES
    )
    batches, copies = [], []
    for batch in itertools.islice(stream, 12):
        batches.append(batch)
        copies.append({name: x.copy() for name, x in batch.items()})
    stream.close()
    for batch, copy in zip(batches, copies, strict=True):
        assert_same(batch, copy)
    for first, second in itertools.combinations(batches, 2):
        assert not any(np.shares_memory(first[name], second[name]) for name in first)


def test_a_stream_from_workers_resumes_in_each_of_two_processes(source):
    start = 5
    tail = {name: value[start:] for name, value in train(source, 12).items()}
    options = {'workers': 2, 'threads': 3, 'start': start}
    parts = [train(source, 12 - start, shard=(i, 2), **options) for i in range(2)]
    joined = {name: np.concatenate([p[name] for p in parts], 1) for name in tail}
    assert_same(joined, tail)


def test_a_resumed_stream_is_the_tail_of_an_uninterrupted_one(source):
    whole = train(source, 9)
    tail = {key: value[5:] for key, value in whole.items()}
    assert_same(train(source, 4, start=5), tail)


@pytest.mark.parametrize('count', [2, 4])
def test_the_parts_of_all_processes_make_up_the_global_batch(source, count):
    parts = [train(source, 6, shard=(i, count)) for i in range(count)]
    joined = {key: np.concatenate([p[key] for p in parts], 1) for key in parts[0]}
    assert_same(joined, train(source, 6))


def test_another_batch_size_sees_the_same_examples_and_crops(source):
    threes, tens = train(source, 10, batch_size=3), train(source, 3, batch_size=10)
    flat = (
        {k: v.reshape(30, *v.shape[2:]) for k, v in b.items()} for b in (threes, tens)
    )
    assert_same(*flat)


def test_seeds_have_different_orders_in_all_epochs(source):
    orders = [
        order
        for seed in range(8)
        for order in train(source, 4, batch_size=EXAMPLES, seed=seed)['example']
    ]
    assert len(set(map(tuple, orders))) == len(orders)


def test_seeds_have_different_crops(source):
    batches = [train(source, 1, batch_size=EXAMPLES, seed=s) for s in (0, 1)]
    places = [batch['example'][0].argsort()[0] for batch in batches]
    first, second = (b['image'][0][p] for b, p in zip(batches, places, strict=True))
    assert not np.array_equal(first, second)


def test_equal_images_have_different_crops(source):
    twins = dataclasses.replace(source, images=source.images[:1].repeat(10, axis=0))
    crops = train(twins, 1, batch_size=EXAMPLES)['image'][0]
    assert len({crop.tobytes() for crop in crops}) == EXAMPLES


def test_evaluation_sees_every_example_once_and_fills_with_zeros(source):
    batches = evaluate(source, batch_size=4)
    joined = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
    assert np.array_equal(joined['mask'], [True] * 10 + [False] * 2)
    assert np.array_equal(joined['example'], [*range(10), 0, 0])
    assert np.array_equal(joined['label'], [*range(10), 0, 0])
    assert not joined['image'][10:].any()
    assert joined['image'][:10].any((1, 2, 3)).all()


def test_evaluation_does_not_fill_a_full_batch(source):
    batches = evaluate(source, batch_size=5)
    assert [batch['mask'].all() for batch in batches] == [True, True]


def test_all_processes_evaluate_the_same_number_of_batches(source):
    parts = [evaluate(source, shard=(i, 4)) for i in range(4)]
    whole = evaluate(source)
    assert [len(part) for part in parts] == 4 * [len(whole)]
    for batch, *shares in zip(whole, *parts, strict=True):
        joined = {key: np.concatenate([s[key] for s in shares]) for key in batch}
        assert_same(joined, batch)


def test_evaluation_takes_the_central_crop(source):
    image = evaluate(source, crop_fraction=0.5)[0]['image'][2]
    assert np.array_equal(
        image, crop_and_resize(source[2].image, Box(5, 7, 10, 16), 16)
    )


def test_a_training_crop_is_a_part_of_its_image():
    ramp = np.indices((64, 64)).sum(0).astype(np.uint8)
    source = Arrays(ramp[None], np.zeros(1, int), ('ramp',), ('0',))
    images = train(source, 50)['image'].reshape(-1, 16, 16, 3)
    assert (np.diff(images[..., 0].astype(int), axis=2) >= 0).all()
    assert (images[..., 0] == images[..., 2]).all()
    assert len(np.unique(images[:, 0, 0, 0])) > 20


def test_resizing_is_bilinear_and_not_smoothed():
    board = np.indices((8, 8)).sum(0)[..., None].repeat(3, axis=2) % 2
    board = (255 * board).astype(np.uint8)
    assert set(np.unique(crop_and_resize(board, Box(0, 0, 8, 8), 4))) <= {127, 128}
    image = np.array([[0, 100]], np.uint8)[..., None].repeat(3, axis=2)
    rows = crop_and_resize(image, Box(0, 0, 1, 2), 4)[..., 0]
    assert np.array_equal(rows, 4 * [[0, 25, 75, 100]])


def bilinear(image, box, size, *, half=0.5):
    """Returns a box by the formula: centres of pixels correspond, `half` a pixel in.

    TensorFlow 1 has 0 for `half`.
    """
    sides = []
    for begin, length in ((box.top, box.height), (box.left, box.width)):
        place = (np.arange(size) + half) * length / size - half
        low = np.floor(place)
        near = np.clip([low, low + 1], 0, length - 1).astype(int) + begin
        sides.append((near, place - low))
    (rows, down), (columns, right) = sides
    pixels = image.astype(float)
    down, right = down[:, None, None], right[None, :, None]
    upper, lower = (
        (1 - right) * pixels[row][:, columns[0]] + right * pixels[row][:, columns[1]]
        for row in rows
    )
    return (1 - down) * upper + down * lower


BOXES = [Box(0, 0, 60, 80), Box(7, 11, 33, 21), Box(3, 0, 57, 80), Box(20, 30, 4, 5)]


@pytest.mark.parametrize('box', BOXES)
@pytest.mark.parametrize('size', [16, 40, 99])
def test_a_crop_is_that_of_the_formula_of_opencv_and_of_pillow(box, size):
    image = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
    ours = crop_and_resize(image, box, size).astype(int)
    top, left, height, width = box
    part = np.ascontiguousarray(image[top : top + height, left : left + width])
    theirs = cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(ours, theirs)
    assert np.abs(ours - bilinear(image, box, size)).max() <= 1
    # Pillow's affine transform does not smooth; its resize does where it shrinks.
    extent = Image.fromarray(part).transform(
        (size, size),
        Image.Transform.EXTENT,
        (0, 0, width, height),
        Image.Resampling.BILINEAR,
    )
    inner = (slice(size // width + 1, -(size // width) - 1),) * 2
    assert np.abs(ours - np.asarray(extent))[inner].max(initial=0) <= 2
    resized = np.asarray(
        Image.fromarray(part).resize((size, size), Image.Resampling.BILINEAR)
    )
    apart = np.abs(ours - resized).mean()
    if size > max(height, width):
        assert np.abs(ours - resized).max() <= 1
    elif size < min(height, width) / 1.5:
        assert apart > 10


def test_pixels_do_not_lie_at_whole_coordinates_as_in_tensorflow_1():
    image = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
    ours = crop_and_resize(image, BOXES[0], 40).astype(int)
    assert np.abs(ours - bilinear(image, BOXES[0], 40, half=0)).mean() > 10


@pytest.mark.parametrize('image', [b'', b'not an image', np.zeros((2, 2), np.float32)])
def test_an_undecodable_image_is_named_by_its_id(image):
    source = Arrays([image], np.zeros(1), ('photo/7',), ('0',))
    with pytest.raises(ValueError, match='cannot decode image photo/7'):
        evaluate(source)


@pytest.fixture
def holed(source):
    """Returns the ten images, of which 3, 4 and 8 cannot be decoded."""
    images = [b'' if i in (3, 4, 8) else image for i, image in enumerate(source.images)]
    return dataclasses.replace(source, images=images)


def test_an_image_that_cannot_be_decoded_stops_the_stream_with_its_id(holed):
    with pytest.raises(Unreadable, match=r'cannot decode image [348]: 0 bytes'):
        train(holed, 3)
    with pytest.raises(Unreadable, match='cannot decode image 3: 0 bytes'):
        evaluate(holed)


def test_a_worker_names_what_cannot_be_decoded(holed):
    with pytest.raises(Unreadable, match=r'cannot decode image [348]: 0 bytes'):
        train(holed, 3, workers=2)


def test_the_next_one_takes_the_place_of_an_image_that_cannot_be_decoded(
    source, holed, capfd
):
    whole, skipped = train(source, 5), train(holed, 5, skip=True)
    missing = np.isin(whole['example'], (3, 4, 8))
    assert np.array_equal(skipped['unreadable'], missing)
    assert not np.isin(skipped['example'], (3, 4, 8)).any()
    for name in whole:
        assert np.array_equal(skipped[name][~missing], whole[name][~missing])
    flat = [skipped[name].reshape(20, -1) for name in ('example', 'image', 'label')]
    for place in np.flatnonzero(missing.ravel()[:-3]):
        after = place + missing.ravel()[place:].argmin()
        if after < len(flat[0]):
            assert all(np.array_equal(x[place], x[after]) for x in flat)
    assert 'note: cannot decode image 8: 0 bytes that are not' in capfd.readouterr().err


def test_with_lost_images_the_stream_is_the_same_however_it_is_read(holed):
    whole = train(holed, 6, skip=True, threads=1)
    assert_same(train(holed, 6, skip=True, threads=4), whole)
    tail = {name: value[4:] for name, value in whole.items()}
    assert_same(train(holed, 2, skip=True, start=4), tail)
    parts = [train(holed, 6, skip=True, shard=(i, 2)) for i in range(2)]
    joined = {name: np.concatenate([p[name] for p in parts], 1) for name in whole}
    assert_same(joined, whole)


class Deadly:
    """A source whose reader ends its process."""

    def __len__(self):
        return EXAMPLES

    def __getitem__(self, index):
        os._exit(3)


def test_a_worker_that_ends_at_its_first_image_is_reported():
    with pytest.raises(LostWorker, match=r'exit code 3.* config.data.workers, to 0 if'):
        train(Deadly(), 3, workers=1)


def test_workers_leave_out_what_cannot_be_read_as_threads_do(holed):
    whole = train(holed, 6, skip=True)
    assert_same(train(holed, 6, skip=True, workers=2), whole)


@pytest.mark.parametrize('label', [-1, EXAMPLES])
def test_a_label_that_is_no_class_is_refused_by_the_id_of_its_example(source, label):
    labels = np.where(np.arange(EXAMPLES) == 7, label, source.labels)
    wrong = dataclasses.replace(source, labels=labels)
    message = rf'example 7 has the label {label}; expected 0 to 9'
    for read in (lambda: train(wrong, 5), lambda: evaluate(wrong)):
        with pytest.raises(Unreadable, match=message):
            read()


class Failing(Arrays):
    """Images of which none can be read, for a reason of the system."""

    def __getitem__(self, index):
        raise OSError(errno.EMFILE, 'Too many open files')


def test_a_failure_of_the_system_is_not_the_fault_of_an_image(source):
    failing = Failing(**vars(source))
    with pytest.raises(OSError, match='Too many open files'):
        train(failing, 1, skip=True)
    with pytest.raises(OSError, match='Too many open files'):
        evaluate(failing, unreadable=note_unreadable)


def test_data_that_are_gone_stop_the_stream_all_the_same(source):
    gone = dataclasses.replace(source, images=EXAMPLES * [b''])
    with pytest.raises(Unreadable, match='16 examples in a row cannot be read'):
        train(gone, 1, skip=True)


def test_an_image_that_cannot_be_decoded_is_not_evaluated(source, holed):
    whole, skipped = evaluate(source), evaluate(holed, unreadable=note_unreadable)
    for batch, other in zip(whole, skipped, strict=True):
        lost = np.isin(batch['example'], (3, 4, 8)) & batch['mask']
        assert np.array_equal(other['mask'], batch['mask'] & ~lost)
        assert np.array_equal(other['image'][~lost], batch['image'][~lost])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'shard': (0, 3)}, 'batch_size 4 does not divide over 3 processes.* e.g. 3'),
        ({'batch_size': 1, 'shard': (0, 2)}, 'use a multiple of 2, e.g. 2'),
        ({'crop_fraction': 0}, 'crop_fraction is 0; expected'),
    ],
)
def test_an_impossible_stream_is_refused_at_once(source, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(source, **options)


@pytest.mark.parametrize('area', [(0, 1), (0.5, 0.1), (0.5, 1.5)])
def test_an_impossible_area_is_refused_at_once(source, area):
    with pytest.raises(ValueError, match='expected a range above 0 and up to 1'):
        training_batches(
            source, batch_size=4, size=16, seed=0, area=area, aspect=(1, 1)
        )


@pytest.mark.skipif('TFDS_DATA_DIR' not in os.environ, reason='needs TFDS_DATA_DIR')
def test_photos_are_decoded_and_evaluated_in_order():
    source = open_source('tfds:imagenet2012', 'validation')
    batches = evaluate(source, batch_size=64)
    mask = np.concatenate([batch['mask'] for batch in batches])
    labels = np.concatenate([batch['label'] for batch in batches])[mask]
    assert np.array_equal(labels, [source[i].label for i in range(len(source))])
    spread = np.concatenate([batch['image'] for batch in batches])[mask].std((1, 2, 3))
    assert spread.min() > 5
