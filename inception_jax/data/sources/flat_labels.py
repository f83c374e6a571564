"""Labels for image files that lie in one folder, as ImageNet's validation images do."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.ppm', '.gif')
ENDINGS = ('.txt', '.csv')
HEADER = ('ImageId', 'PredictionString')


def label_file(folder: Path) -> Path | None:
    """Returns the label file of a folder: val.txt or val.csv beside val/, or None.

    Raises:
      ValueError: both files exist.
    """
    files = [folder.with_name(folder.name + ending) for ending in ENDINGS]
    existing = [file for file in files if file.is_file()]
    if len(existing) > 1:
        raise ValueError(f'{files[0]} and {files[1]} both exist; keep one of them')
    return existing[0] if existing else None


def read_labels(file: Path, images: Sequence[str], names: tuple[str, ...]) -> list[int]:
    """Returns the label of each image, an index into the class `names`.

    Each line of the file has one of two forms, with spaces or commas as separators:

    - the name of an image, with or without its extension, and its class; the rest of
      the line is ignored (Caffe's val.txt, Kaggle's LOC_val_solution.csv);
    - a class alone, for the images in the order of their names (TF-Slim's
      imagenet_2012_validation_synset_labels.txt).

    A class is one of `names`, or its index among them from 0. The ground truth file of
    ILSVRC is refused: its numbers start at 1 and have the order of the development kit.

    Raises:
      ValueError: the file is not UTF-8, an image has no label or two labels, a label
        has no image, or a class does not exist.
    """
    try:
        content = file.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is not UTF-8 text; expected labels') from error
    lines = [re.split(r'[,\s]+', line.strip()) for line in content.splitlines()]
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
            f'{len(images):,} images; expected one label a line, in the order of names'
        )
    return classes


def _by_name(
    file: Path, images: Sequence[str], lines: Sequence[Sequence[str]]
) -> list[str]:
    """Returns the class of each image, from lines with names of images and classes."""
    without_class = [line[0] for line in lines if len(line) == 1]
    labelled = [_stem(Path(line[0]).name) for line in lines]
    stems = [_stem(Path(name).name) for name in images]
    for odd, problem in (
        (without_class, 'names no class for'),
        (_duplicates(labelled), 'has two labels for'),
        (_duplicates(stems), 'cannot tell apart two images named'),
        (set(stems) - set(labelled), 'has no label for'),
        (set(labelled) - set(stems), 'has labels of missing images,'),
    ):
        if odd:
            raise ValueError(
                f'{file} {problem} {min(odd)} ({len(odd):,} in all); expected a line '
                f'for each image in {file.with_suffix("")}'
            )
    class_of = dict(zip(labelled, (line[1] for line in lines), strict=True))
    return [class_of[stem] for stem in stems]


def _stem(name: str) -> str:
    """Returns the name of a file without the extension of an image."""
    ending = next((e for e in EXTENSIONS if name.lower().endswith(e)), '')
    return name[: len(name) - len(ending)]


def _duplicates(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _numbers(file: Path, used: set[str], names: tuple[str, ...]) -> dict[str, int]:
    numbers = {name: number for number, name in enumerate(names)}
    if not used & set(numbers):
        numbers = {str(number): number for number in range(len(names))}
    if unknown := used - set(numbers):
        raise ValueError(
            f'{file} names the class {min(unknown)}; expected one of the '
            f'{len(names):,} classes ({names[0]}, ...) or its number from 0'
        )
    return numbers
