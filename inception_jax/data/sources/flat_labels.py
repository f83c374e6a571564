"""Labels for image files in one folder, such as ImageNet's validation images."""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from inception_jax.data.decode import EXTENSIONS
from inception_jax.runtime.amounts import counted

ENDINGS = ('.txt', '.csv')
SEPARATOR = re.compile(r'[,\s]+')
NUMBER = re.compile(r'[+-]?\d+(\.\d*)?')


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

    Each line of the file has one of two forms:

    - the name of an image, with or without its extension, and its class (Caffe's
      val.txt, Kaggle's LOC_val_solution.csv);
    - only a class; the lines follow the sorted names of the images (TF-Slim's
      imagenet_2012_validation_synset_labels.txt).

    In a .csv file the name and the class are the first two cells. In a .txt file they
    are separated by spaces or a comma, and both may contain spaces. A header line is
    skipped.

    A class is one of `names` or an index from 0. Numbers may follow the class, such as
    the boxes in Kaggle's file. The longest matching class name is used. The ground
    truth file of ILSVRC is rejected, because its numbers start at 1 and follow the
    order of the development kit.

    Raises:
      ValueError: the file is not UTF-8 or not CSV, an image has no label or two labels,
        a label has no image, or a class does not exist.
    """
    try:
        content = normal(file.read_text(encoding='utf-8-sig'))
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is not UTF-8 text; expected labels') from error
    stems = [_stem(normal(Path(name).name)) for name in images]
    labels = {normal(name): label for label, name in enumerate(names)}
    numbers = {str(label): label for label in range(len(names))}
    known = {**numbers, **labels}
    images_named = set(stems)
    if file.suffix == '.csv':
        lines = _csv_rows(file, content)
    else:
        lines = _text_rows(content, images_named, known)
    if lines and _is_header(lines[0], images_named, known):
        del lines[0]
    if all(len(line) == 1 for line in lines):
        classes = _in_order(file, images, [line[0] for line in lines])
    else:
        classes = _by_name(file, stems, lines)
    return _labels(file, classes, names, (labels, numbers))


def normal(name: str) -> str:
    """Returns a name in Unicode's composed form; macOS decomposes file names."""
    return unicodedata.normalize('NFC', name)


Lines = list[list[str]]


def _csv_rows(file: Path, content: str) -> Lines:
    """Returns the first two cells of each line of a CSV file."""
    reader = csv.reader(content.splitlines(), skipinitialspace=True, strict=True)
    try:
        rows = [[cell.strip() for cell in row[:2]] for row in reader]
    except csv.Error as error:
        raise ValueError(
            f'{file} is not CSV ({error} in line {reader.line_num})'
        ) from None
    return [row for row in rows if any(row)]


def _text_rows(content: str, stems: set[str], known: Mapping[str, int]) -> Lines:
    """Splits each line of a text file into image and class, or keeps only a class."""
    lines = [line for line in map(str.strip, content.splitlines()) if line]
    if all(line in known for line in lines):
        return [[line] for line in lines]
    return [_split_line(line, stems) for line in lines]


def _split_line(line: str, stems: set[str]) -> list[str]:
    """Splits a line after the longest image name, or else at the first separator."""
    gaps = list(SEPARATOR.finditer(line))
    for gap in reversed(gaps):
        if _stem(Path(line[: gap.start()]).name) in stems:
            return [line[: gap.start()], line[gap.end() :]]
    return SEPARATOR.split(line, maxsplit=1)


def _is_header(line: list[str], stems: set[str], known: Mapping[str, int]) -> bool:
    """Returns whether a line of two cells names neither an image nor a class."""
    if len(line) < 2 or _stem(Path(line[0]).name) in stems:
        return False
    return _match(line[1], known) is None


def _in_order(file: Path, images: Sequence[str], classes: list[str]) -> list[str]:
    if len(classes) != len(images):
        raise ValueError(
            f'{file} has {counted(len(classes), "label")}, and {file.with_suffix("")} '
            f'has {counted(len(images), "image")}; expected one label per line, in the '
            'sorted order of the image names'
        )
    return classes


def _by_name(file: Path, stems: Sequence[str], lines: Lines) -> list[str]:
    """Returns the class of each image from lines that name an image and a class."""
    without_class = [line[0] for line in lines if not line[1:] or not line[1]]
    labelled = [_stem(Path(line[0]).name) for line in lines]
    for odd, problem in (
        (without_class, 'names no class for'),
        (_duplicates(labelled), 'has two labels for'),
        (_duplicates(stems), 'is ambiguous, because two images are named'),
        (set(stems) - set(labelled), 'has no label for'),
        (set(labelled) - set(stems), 'has a label for the missing image'),
    ):
        if odd:
            raise ValueError(
                f'{file} {problem} {min(odd):.80} ({len(odd):,} in all); expected a '
                f'line for each image in {file.with_suffix("")}'
            )
    class_of = dict(zip(labelled, (line[1] for line in lines), strict=True))
    return [class_of[stem] for stem in stems]


def _stem(name: str) -> str:
    """Returns the name of a file without its image extension."""
    ending = next((e for e in EXTENSIONS if name.lower().endswith(e)), '')
    return name[: len(name) - len(ending)]


def _duplicates(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _labels(
    file: Path,
    classes: Sequence[str],
    names: tuple[str, ...],
    readings: Iterable[Mapping[str, int]],
) -> list[int]:
    """Returns the labels, read as names if a line has a known name, else as numbers."""
    for reading in readings:
        labels = [_match(text, reading) for text in classes]
        if any(label is not None for label in labels):
            break
    unknown = [
        text for text, label in zip(classes, labels, strict=True) if label is None
    ]
    if unknown:
        raise ValueError(
            f'{file} names the class {min(unknown):.80}; expected one of the '
            f'{len(names):,} classes ({names[0]:.80}, ...) or its index from 0'
        )
    return labels


def _match(text: str, known: Mapping[str, int]) -> int | None:
    """Returns the label of the longest known name at the beginning of `text`.

    Only numbers or the same name may follow, as in Kaggle's lists of boxes.
    """
    if text in known:
        return known[text]
    for gap in reversed(list(SEPARATOR.finditer(text))):
        name, rest = text[: gap.start()], SEPARATOR.split(text[gap.end() :])
        if name in known and all(
            part == name or NUMBER.fullmatch(part) for part in rest
        ):
            return known[name]
    return None
