"""Sources: what they hold, and what they say when there is nothing to hold."""

import contextlib
import errno
import json
import os

import cv2
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.proto import tf_example_pb2

from inception_jax.data.sources import arrays, tfds
from inception_jax.data.sources.open import open_source
from inception_jax.data.sources.tfds import Tfds


def test_the_digits_are_those_of_scikit_learn(monkeypatch):
    def pixels():
        source = open_source('digits', 'test')
        return source.images, source.labels

    images, labels = pixels()
    # If the file has moved, scikit-learn itself loads the digits.
    monkeypatch.setattr(arrays, 'DIGITS', 'none')
    for array, expected in zip((images, labels), pixels(), strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype


def test_the_digits_are_split_into_every_fifth_and_the_rest():
    train, test = (open_source('digits', split) for split in ('train', 'test'))
    ids = {source[i].id for source in (train, test) for i in range(len(source))}
    assert ids == {f'digits/{i}' for i in range(1797)}
    assert (len(train), len(test)) == (1438, 359)
    assert [test[i].id for i in (0, 1)] == ['digits/4', 'digits/9']


def test_a_digit_is_an_image_in_uint8_with_its_label():
    source = open_source('digits', 'train')
    image, label, _ = source[0]
    assert (image.shape, image.dtype, label) == ((8, 8), np.uint8, 0)
    assert (source.images.min(), source.images.max()) == (0, 255)
    assert source.class_names == tuple('0123456789')


def test_a_synthetic_image_is_a_function_of_split_and_index():
    source, same = (open_source('synthetic:20/4', 'train') for _ in range(2))
    other = open_source('synthetic:20/4', 'test')
    assert (len(source), source.classes, source[7].label) == (20, 4, 3)
    assert np.array_equal(source[7].image, same[7].image)
    assert not np.array_equal(source[7].image, other[7].image)
    assert not np.array_equal(source[7].image, source[11].image)


def test_synthetic_classes_can_be_learnt_from_another_split():
    train, test = (open_source('synthetic:40/10', split) for split in ('a', 'b'))
    images, labels, _ = zip(*(train[i] for i in range(40)), strict=True)
    means = [
        np.mean([x for x, y in zip(images, labels, strict=True) if y == k], axis=0)
        for k in range(10)
    ]
    for image, label, _ in (test[i] for i in range(40)):
        assert np.argmin([np.square(image - mean).sum() for mean in means]) == label


def test_a_folder_is_a_class_per_subfolder_in_the_order_of_names(tmp_path):
    for name in ('cat/2.JPG', 'cat/deep/1.png', 'ant/b.ppm', 'ant/a.txt', '.git/c.png'):
        file = tmp_path / 'train' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    source = open_source(f'folder:{tmp_path}', 'train')
    assert source.class_names == ('ant', 'cat')
    assert [source[i] for i in range(len(source))] == [
        (b'ant/b.ppm', 0, 'ant/b.ppm'),
        (b'cat/2.JPG', 1, 'cat/2.JPG'),
        (b'cat/deep/1.png', 1, 'cat/deep/1.png'),
    ]


def test_the_order_of_a_folder_does_not_depend_on_the_file_system(
    tmp_path, monkeypatch
):
    for name in ('b/2.png', 'b/1.png', 'a/3.png', 'a/deep/4.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = open_source(f'folder:{tmp_path}', None)
    scandir = os.scandir

    def scan_backwards(folder):
        entries = sorted(scandir(folder), key=lambda entry: entry.name, reverse=True)
        return contextlib.nullcontext(entries)

    monkeypatch.setattr(os, 'scandir', scan_backwards)
    assert open_source(f'folder:{tmp_path}', None) == listed
    assert listed.files == ('a/3.png', 'a/deep/4.png', 'b/1.png', 'b/2.png')


def test_a_folder_without_a_split_has_its_classes_at_once(tmp_path):
    for name in 'dfabgce':
        (tmp_path / name).mkdir()
        (tmp_path / name / '1.webp').write_bytes(b'x')
    source = open_source(f'folder:{tmp_path}', None)
    assert source.class_names == tuple('abcdefg')
    assert (source[2].label, source[2].id) == (2, 'c/1.webp')


@pytest.fixture
def flat(tmp_path):
    """Returns a function that labels three validation images beside two classes."""
    for name in ('train/n01/a.JPEG', 'train/n02/b.JPEG', *FLAT):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())

    def write(text, ending='.txt'):
        (tmp_path / f'val{ending}').write_text(text)
        return open_source(f'folder:{tmp_path}', 'val')

    return write


FLAT = [f'val/ILSVRC2012_val_0000000{i}.JPEG' for i in (1, 2, 3)]
KAGGLE = """ImageId,PredictionString
ILSVRC2012_val_00000003,n01 85 1 499 272
ILSVRC2012_val_00000001,n02 1 2 3 4 n02 5 6 7 8
ILSVRC2012_val_00000002,n01 1 2 3 4
"""
CAFFE = """ILSVRC2012_val_00000001.JPEG 1
ILSVRC2012_val_00000002.JPEG 0
ILSVRC2012_val_00000003.JPEG 0
"""


@pytest.mark.parametrize(
    ('text', 'ending'),
    [('n02\nn01\nn01\n', '.txt'), (KAGGLE, '.csv'), (CAFFE, '.txt')],
    ids=['slim', 'kaggle', 'caffe'],
)
def test_a_flat_folder_has_its_labels_beside_it(flat, text, ending):
    source = flat(text, ending)
    assert source.class_names == ('n01', 'n02')
    assert [source[i] for i in range(len(source))] == [
        (name.encode(), label, name.removeprefix('val/'))
        for name, label in zip(FLAT, (1, 0, 0), strict=True)
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('n01\nn02\n', 'has 2 labels, and .*val has 3 images'),
        (CAFFE[:62], 'has no label for ILSVRC2012_val_00000003'),
        (CAFFE + 'x.JPEG 0\n', r'a label for the missing image x \(1 in all'),
        ('2\n1\n1\n', r'class 2; expected one of the 2 classes \(n01, \.\.\.\) or its'),
        ('n01\nn03\nn02\n', 'names the class n03'),
        ('', 'has 0 labels'),
        (CAFFE + CAFFE[:31], r'has two labels for ILSVRC2012_val_00000001 \(1 in all'),
        (CAFFE + 'x\n', r'names no class for x'),
    ],
)
def test_labels_that_do_not_fit_the_images_are_refused(flat, text, message):
    with pytest.raises(ValueError, match=message) as error:
        flat(text)
    assert '\n' not in str(error.value)


@pytest.fixture
def sharks(tmp_path):
    """Returns a function that labels two images of classes with spaces."""
    for name in ('train/tiger/1.png', 'train/tiger shark/2.png', *SHARKS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'x')

    def labels(text, ending='.txt'):
        (tmp_path / f'val{ending}').write_text(text)
        return open_source(f'folder:{tmp_path}', 'val').labels

    return labels


SHARKS = ('val/a.png', 'val/b c.png')


@pytest.mark.parametrize(
    ('text', 'ending'),
    [
        ('a.png,tiger shark\nb c.png,tiger\n', '.csv'),
        ('file,class\n"a.png","tiger shark"\n"b c.png", "tiger"\n', '.csv'),
        ('a.png tiger shark\nb c.png tiger\n', '.txt'),
        ('a,tiger shark\nb c,tiger 1 2 3 4\n', '.txt'),
        ('a.png 1\nb c.png 0\n', '.txt'),
        ('tiger shark\ntiger\n', '.txt'),
        ('tiger shark\ntiger\n', '.csv'),
    ],
)
def test_names_of_images_and_classes_may_have_spaces(sharks, text, ending):
    assert sharks(text, ending) == (1, 0)


@pytest.mark.parametrize(
    ('text', 'ending', 'message'),
    [
        ('a.png,tiger sharks\nb c.png,tiger\n', '.csv', 'class tiger sharks; exp'),
        ('a.png tiger cub\nb c.png tiger\n', '.txt', 'the class tiger cub; expected'),
        ('a.png tiger tiger shark\nb c.png tiger\n', '.txt', 'class tiger tiger sha'),
        ('"a.png,tiger\nb c.png,tiger\n', '.csv', 'val.csv is not CSV'),
    ],
)
def test_a_part_of_the_name_of_a_class_is_no_class(sharks, text, ending, message):
    with pytest.raises(ValueError, match=message) as error:
        sharks(text, ending)
    assert '\n' not in str(error.value)


def test_composed_and_decomposed_names_are_the_same(tmp_path):
    for name in ('train/caf\u0065\u0301/1.png', 'val/\u0065\u0301.png'):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b'x')
    (tmp_path / 'val.txt').write_text('\u00e9.png caf\u00e9\n', encoding='utf-8')
    assert open_source(f'folder:{tmp_path}', 'val').labels == (0,)


def test_two_images_of_one_name_need_an_order(flat, tmp_path):
    (tmp_path / 'val' / 'ILSVRC2012_val_00000002.png').write_bytes(b'x')
    with pytest.raises(ValueError, match='two images are named ILSVRC2012_val_0000'):
        flat(CAFFE)
    source = flat('n02\nn01\nn02\nn01')
    assert [source[i].label for i in range(4)] == [1, 0, 1, 0]


def test_a_name_may_have_dots(tmp_path):
    for name in ('train/a/1.png', 'val/v.1.png'):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b'x')
    (tmp_path / 'val.txt').write_text('v.1 a')
    assert open_source(f'folder:{tmp_path}', 'val')[0].label == 0


def test_a_list_that_is_no_text_is_refused(flat, tmp_path):
    with pytest.raises(ValueError, match=r'val.txt has 0 labels'):
        flat('')
    (tmp_path / 'val.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ValueError, match=r'val.txt is not UTF-8 text'):
        open_source(f'folder:{tmp_path}', 'val')


def test_names_may_have_folders_and_the_file_a_byte_order_mark(flat):
    text = ''.join(f'val/{line}\n' for line in CAFFE.splitlines())
    assert len(flat('\ufeff' + text)) == 3


def test_two_lists_of_labels_are_one_too_many(flat):
    flat(CAFFE)
    with pytest.raises(ValueError, match=r'val.txt and .*val.csv both exist; keep'):
        flat(KAGGLE, '.csv')


def test_class_folders_do_not_care_for_lists_beside_them(flat, tmp_path):
    assert len(flat(CAFFE)) == 3
    for name in ('train.txt', f'../{tmp_path.name}.txt'):
        (tmp_path / name).write_text('notes about it')
    assert len(open_source(f'folder:{tmp_path}', 'train')) == 2
    assert len(open_source(f'folder:{tmp_path}/train', None)) == 2


def test_the_classes_are_those_of_train(flat, tmp_path):
    (tmp_path / 'Annotations' / 'x').mkdir(parents=True)
    assert flat(CAFFE).class_names == ('n01', 'n02')


def test_a_flat_folder_needs_images_and_classes_beside_it(tmp_path):
    (tmp_path / 'val').mkdir()
    (tmp_path / 'val.txt').write_text('n01')
    with pytest.raises(ValueError, match=r'val has 0 images, .* 0 classes; with .*val'):
        open_source(f'folder:{tmp_path}', 'val')


@pytest.fixture
def prepare(tmp_path):
    """Returns a function that lays out a set of two images as TFDS does."""

    def write(
        name, *, file_format='array_record', features=('image', 'label'), labels=(1, 0)
    ):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        # A record in TFDS is a tf.train.Example.
        records = folder / f'tiny-train.{file_format}-00000-of-00001'
        writer = ArrayRecordWriter(str(records), 'group_size:1')
        for label in labels:
            example = tf_example_pb2.Example()
            example.features.feature['label'].int64_list.value.append(label)
            example.features.feature['image'].bytes_list.value.append(b'%d' % label)
            writer.write(example.SerializeToString())
        writer.close()
        (folder / 'dataset_info.json').write_text(json.dumps(INFO(file_format)))
        (folder / 'features.json').write_text(json.dumps(FEATURES(features)))
        return folder

    return write


def INFO(file_format):
    split = {
        'name': 'train',
        'shardLengths': ['2'],
        'filepathTemplate': '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}',
    }
    return {
        'name': 'tiny',
        'version': '1.0.0',
        'fileFormat': file_format,
        'splits': [split],
    }


def FEATURES(names):
    package = 'tensorflow_datasets.core.features'
    shape = {'dimensions': ['-1', '-1', '3']}
    known = {
        'image': {
            'pythonClassName': f'{package}.image_feature.Image',
            'image': {'shape': shape, 'dtype': 'uint8'},
        },
        'label': {
            'pythonClassName': f'{package}.class_label_feature.ClassLabel',
            'classLabel': {'numClasses': '2'},
        },
    }
    return {
        'pythonClassName': f'{package}.features_dict.FeaturesDict',
        'featuresDict': {'features': {name: known[name] for name in names}},
    }


def test_a_tfds_set_gives_bytes_and_labels_by_index(prepare, tmp_path):
    prepare('tiny/1.0.0')
    source = open_source('tfds:tiny', 'train', data_dir=str(tmp_path))
    assert [source[i] for i in range(len(source))] == [
        (b'1', 1, 'tiny/train/0'),
        (b'0', 0, 'tiny/train/1'),
    ]
    assert (source.classes, source.class_names) == (2, ('0', '1'))


def test_a_part_of_a_split_and_several_of_them_are_splits(prepare, tmp_path):
    prepare('tiny/1.0.0')
    first, last, both = (
        open_source('tfds:tiny', split, data_dir=str(tmp_path))
        for split in ('train[:50%]', 'train[1:]', 'train[1:]+train[:1]')
    )
    assert [len(source) for source in (first, last, both)] == [1, 1, 2]
    assert (first[0].image, last[0].image) == (b'1', b'0')
    assert [both[i].image for i in (0, 1)] == [b'0', b'1']
    assert len({both[i].id for i in (0, 1)}) == 2


def test_the_newest_version_is_read_unless_one_is_given(prepare, tmp_path, monkeypatch):
    prepare('tiny/1.9.0', file_format='tfrecord')
    prepare('tiny/1.10.0')
    monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))
    assert len(open_source('tfds:tiny', 'train')) == 2
    for spec in ('tfds:tiny/1.9.0', 'tfds:tiny:1.9.0'):
        with pytest.raises(ValueError, match='tfrecord'):
            open_source(spec, 'train')


def test_a_tfrecord_set_is_refused_with_the_command_that_converts_it(prepare, tmp_path):
    folder = prepare('tiny/1.0.0', file_format='tfrecord')
    with pytest.raises(ValueError, match='expected array_record') as error:
        open_source('tfds:tiny', 'train', data_dir=str(tmp_path))
    assert str(error.value).endswith(
        'python -m tensorflow_datasets.scripts.convert_format '
        f'--dataset_version_dir={folder} --out_file_format=array_record'
    )


def test_a_tfds_split_without_labels_is_refused_when_it_is_opened(prepare, tmp_path):
    prepare('tiny/1.0.0', labels=(-1, -1))
    with pytest.raises(ValueError, match="no labels in split 'train'") as error:
        open_source('tfds:tiny', 'train', data_dir=str(tmp_path))
    assert '\n' not in str(error.value)


def test_a_tfds_split_with_a_single_label_missing_is_opened(prepare, tmp_path):
    prepare('tiny/1.0.0', labels=(-1, 1))
    assert len(open_source('tfds:tiny', 'train', data_dir=str(tmp_path))) == 2


def test_an_error_of_the_system_is_not_an_error_of_a_record():
    class Records:
        def __getitem__(self, index):
            raise RuntimeError(index)

    source = Tfds('tiny/train', (), Records(), ('a', 'b'))
    with pytest.raises(OSError, match='Too many open files; opening x') as error:
        source['open() failed: Too many open files; opening x']
    assert error.value.errno == errno.EMFILE
    with pytest.raises(RuntimeError, match='Corrupted'):
        source['Corrupted Riegeli/records file']


def test_opening_a_tfds_split_allows_as_many_open_files(prepare, tmp_path, monkeypatch):
    counts = []
    monkeypatch.setattr(tfds, 'allow_open_files', counts.append)
    prepare('tiny/1.0.0')
    open_source('tfds:tiny', 'train', data_dir=str(tmp_path))
    assert counts == [1]


def test_a_bucket_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setenv('TFDS_DATA_DIR', 'gs://bucket/tfds')
    with pytest.raises(ValueError, match=r'gs://bucket/tfds is a bucket, .*; mount it'):
        open_source('tfds:imagenet2012', 'train')


def test_a_set_with_a_missing_file_is_refused_before_it_is_read(prepare, tmp_path):
    folder = prepare('tiny/1.0.0')
    next(folder.glob('*.array_record-*')).unlink()
    with pytest.raises(ValueError, match='00000-of-00001 is missing'):
        open_source('tfds:tiny', 'train', data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ('spec', 'split', 'message'),
    [
        (
            'tfds:tiny/3.0.0',
            'train',
            'tiny/3.0.0 is not in .* which has plain/1.0.0, ti',
        ),
        ('tfds:tiny', 'test', "no split 'test'; its splits are train"),
        ('tfds:tiny', None, 'needs a split: train'),
        ('tfds:tiny', 'train[:0]', 'it is empty'),
        (
            'tfds:plain',
            'train',
            'has the features image; expected the feature image',
        ),
    ],
)
def test_a_missing_part_of_a_tfds_folder_is_named(
    prepare, tmp_path, spec, split, message
):
    prepare('tiny/1.0.0')
    prepare('plain/1.0.0', features=['image'])
    with pytest.raises(ValueError, match=message):
        open_source(spec, split, data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ('spec', 'message'),
    [
        ('tdfs:cifar10', 'did you mean tfds:NAME.*forms are digits, tfds:.*synthetic'),
        ('imagenet', "unknown source 'imagenet'; the forms are"),
        ('tfds:', 'did you mean tfds:NAME'),
        ('digits', "no split 'nope'; its splits are train, test"),
        ('synthetic:5', 'write e.g. synthetic:1024/10'),
        ('synthetic:0/1', 'write e.g. synthetic:1024/10'),
        ('folder:{}/missing', 'missing does not exist; name .* as folder:PATH$'),
        ('folder:{}/noep', r'noep does not exist; did you mean folder:.*nope\?'),
        ('folder:{}/nope', 'nope/nope is not a folder'),
        ('folder:{}', 'no image in a class folder'),
    ],
)
def test_a_source_that_is_not_there_is_refused_in_one_line(tmp_path, spec, message):
    (tmp_path / 'nope' / 'cat').mkdir(parents=True)
    with pytest.raises(ValueError, match=message) as error:
        open_source(spec.format(tmp_path), 'nope')
    assert '\n' not in str(error.value)


@pytest.mark.skipif('TFDS_DATA_DIR' not in os.environ, reason='needs TFDS_DATA_DIR')
def test_the_photos_of_imagenet_come_encoded_with_their_file_names():
    source = open_source('tfds:imagenet2012', 'validation')
    example = source[3]
    assert source.classes == 1000
    assert example.id.endswith('.JPEG')
    pixels = cv2.imdecode(np.frombuffer(example.image, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[2] == 3
