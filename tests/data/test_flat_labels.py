"""Lists of labels give each image its class, or are refused in one line."""

import pytest
from hostile.label_lists import CLASSES, IMAGES, broken_lists, whole_lists

from inception_jax.data.sources.flat_labels import read_labels


def labels(folder, label_list):
    file = folder / f'val{label_list.ending}'
    file.write_text(label_list.text, encoding='utf-8', newline='')
    return read_labels(file, sorted(IMAGES), CLASSES)


def test_every_form_of_a_list_gives_each_image_its_class(tmp_path):
    lists = list(whole_lists())
    assert len(lists) > 100
    for each in lists:
        class_of = dict(zip(IMAGES, each.classes, strict=True))
        expected = [CLASSES.index(class_of[image]) for image in sorted(IMAGES)]
        assert labels(tmp_path, each) == expected, each.text


def test_a_list_with_one_wrong_line_is_refused_in_one_line(tmp_path):
    lists = list(broken_lists())
    assert len(lists) > 100
    for each in lists:
        with pytest.raises(ValueError, match=r'val\.(csv|txt)') as error:
            print(labels(tmp_path, each), each.text)
        assert '\n' not in str(error.value)
