"""The labels of image files that lie in one folder: ImageNet's validation images."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.ppm', '.gif')
ENDINGS = ('.txt', '.csv')
HEADER = ('ImageId', 'PredictionString')


def label_file(folder: Path) -> Path | None:
    """Returns the file with the labels of a folder: val.txt or val.csv beside val/.

    Raises:
      ValueError: there are both.
    """
    files = [folder.with_name(folder.name + ending) for ending in ENDINGS]
    found = [file for file in files if file.is_file()]
    if len(found) > 1:
        raise ValueError(f'{found[0]} and {found[1]} are both there; keep one of them')
    return found[0] if found else None


def read_labels(file: Path, images: Sequence[str], names: tuple[str, ...]) -> list[int]:
    """Returns the label of each image.

    A line holds the image's name, with or without its ending, and its class; what
    follows is left out. Or it holds the class alone, of the images in the order of
    their names. Spaces or commas stand between. A class is one of `names`, or its
    number among them from 0. These are the forms of TF-Slim
    (imagenet_2012_validation_synset_labels.txt), Kaggle (LOC_val_solution.csv) and
    Caffe (val.txt); the numbers of ILSVRC's own ground truth are those of its
    developers' kit, from 1 and in another order, and are refused.

    Raises:
      ValueError: the file is no text, an image has no label or two, a label no image,
        or there is no such class.
    """
    try:
        text = file.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is not a text in UTF-8; expected labels') from error
    lines = [re.split(r'[,\s]+', line.strip()) for line in text.splitlines()]
    lines = [line for line in lines if line != ['']]
    if lines and tuple(lines[0]) == HEADER:
        del lines[0]
    if all(len(line) == 1 for line in lines):
        classes = _in_order(file, images, [line[0] for line in lines])
    else:
        classes = _by_name(file, images, lines)
    numbers = _numbers(file, set(classes), names)
    return [numbers[name] for name in classes]


def _in_order(file: Path, images: Sequence[str], classes: list[str]) -> list[str]:
    if len(classes) != len(images):
        raise ValueError(
            f'{file} has {len(classes):,} labels, and {file.with_suffix("")} '
            f'{len(images):,} images; expected one a line, in the order of names'
        )
    return classes


def _by_name(
    file: Path, images: Sequence[str], lines: Sequence[Sequence[str]]
) -> list[str]:
    """Returns the class of each image from lines of its name and its class."""
    short = [line[0] for line in lines if len(line) == 1]
    keys = [_key(Path(line[0]).name) for line in lines]
    wanted = [_key(Path(name).name) for name in images]
    for odd, what in (
        (short, 'names no class for'),
        (_twice(keys), 'has two labels for'),
        (_twice(wanted), 'is of images of which two are called'),
        (set(wanted) - set(keys), 'has no label for'),
        (set(keys) - set(wanted), 'has labels of images that are not there,'),
    ):
        if odd:
            raise ValueError(
                f'{file} {what} {min(odd)} ({len(odd):,} in all); expected a line for '
                f'each image in {file.with_suffix("")}'
            )
    by_key = dict(zip(keys, (line[1] for line in lines), strict=True))
    return [by_key[key] for key in wanted]


def _key(name: str) -> str:
    """Returns the name of a file without the ending of an image."""
    ending = next((e for e in EXTENSIONS if name.lower().endswith(e)), '')
    return name[: len(name) - len(ending)]


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _numbers(file: Path, used: set[str], names: tuple[str, ...]) -> dict[str, int]:
    numbers = {name: number for number, name in enumerate(names)}
    if not used & set(numbers):
        numbers = {str(number): number for number in range(len(names))}
    if odd := used - set(numbers):
        raise ValueError(
            f'{file} names the class {min(odd)}; expected one of the '
            f'{len(names):,} classes ({names[0]}, ...) or its number from 0'
        )
    return numbers
