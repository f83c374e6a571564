"""The labels of image files that lie in one folder: ImageNet's validation images."""

import re
from collections.abc import Sequence
from pathlib import Path

ENDINGS = ('.txt', '.csv')
HEADER = ('ImageId', 'PredictionString')


def label_file(folder: Path) -> Path | None:
    """Returns the file with the labels of a folder: val.txt or val.csv beside val/."""
    files = (folder.with_name(folder.name + ending) for ending in ENDINGS)
    return next((file for file in files if file.is_file()), None)


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
      ValueError: an image has no label, a label no image, or there is no such class.
    """
    lines = [re.split(r'[,\s]+', line.strip()) for line in file.read_text().split('\n')]
    lines = [line for line in lines if line != ['']]
    if lines and tuple(lines[0]) == HEADER:
        del lines[0]
    if all(len(line) == 1 for line in lines):
        if len(lines) != len(images):
            raise ValueError(
                f'{file} has {len(lines):,} labels, and {file.with_suffix("")} '
                f'{len(images):,} images; expected one a line, in the order of names'
            )
        lines = [[name, *line] for name, line in zip(images, lines, strict=True)]
    by_stem = {Path(line[0]).stem: line[1] for line in lines if len(line) > 1}
    stems = [Path(name).stem for name in images]
    _check_same(file, stems, by_stem)
    numbers = _numbers(file, set(by_stem.values()), names)
    return [numbers[by_stem[stem]] for stem in stems]


def _check_same(file: Path, stems: Sequence[str], labelled) -> None:
    for odd, what in (
        (set(stems) - set(labelled), 'has no label for'),
        (set(labelled) - set(stems), 'has labels of images that are not there,'),
    ):
        if odd:
            raise ValueError(
                f'{file} {what} {min(odd)} ({len(odd):,} in all); expected a line for '
                f'each image in {file.with_suffix("")}'
            )


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
