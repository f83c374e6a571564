"""Readers of foreign files are fuzzed: they return a value or raise ValueError.

Messages are short, and memory and time have bounds. (The command line escapes control
characters where it prints a message.)
"""

import argparse
import datetime
import resource
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.paths import ROOT
from helpers.weight_files import write_all
from hostile.images import picture, saved
from hostile.label_lists import CLASSES, IMAGES, whole_lists
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from inception_jax.commands.shared.error_tables import read_excluded
from inception_jax.data.decode import decode
from inception_jax.data.sources.flat_labels import read_labels
from inception_jax.evaluation.probabilities import load_probabilities
from inception_jax.lab.sweep_folder import read_sweep
from inception_jax.runs.run import Run
from inception_jax.weights.export import load_export
from inception_jax.weights.files.open import open_arrays
from inception_jax.weights.weight_file import find_weights, weight_network

OLD_FILES = ROOT / 'tests' / 'old_files'

# Bytes that readers of JSON, text, numbers and headers may trip over.
TOKENS = (
    *(b'1e999', b'NaN', b'-1', b'9' * 30, b'null', b'true', b'{}', b'[]', b'""'),
    *(b'[' * 999, b'\\u0000', b'\x1b[2J', b'\n', b',', b'"'),
    *(b'\xff' * 8, b'\x00' * 8, b'\x7f\xff\xff\xff'),
)

EXAMPLES = 500
LONGEST = datetime.timedelta(seconds=20)
MOST_MEMORY = 2**30


class Reader(NamedTuple):
    """How a whole file is written beside its relatives, and how it is read.

    `write` fills a folder and returns the file of it that is fuzzed.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], Any]


def copied(name: str, *beside: str) -> Callable[[Path], Path]:
    """Returns a writer that copies an old file and those beside it."""

    def write(folder: Path) -> Path:
        for each in (name, *beside):
            source = OLD_FILES / each
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / source.name)
        return folder / Path(name).name

    return write


def in_run(name: str) -> Reader:
    """Returns the reader of a file in the folder of a run."""

    def write(folder: Path) -> Path:
        shutil.copytree(OLD_FILES / 'fork', folder, dirs_exist_ok=True)
        return folder / name

    def read(path: Path) -> None:
        run = Run(path.parent)
        str(run), run.config, run.outcome, run.lineage, run.class_names
        run.records('train'), run.records('evaluation')

    return Reader(write, read)


def picture_file(form: str) -> Reader:
    def write(folder: Path) -> Path:
        path = folder / f'a.{form.lower()}'
        path.write_bytes(saved(Image.fromarray(picture(24, 18)), form))
        return path

    return Reader(write, lambda path: decode(path.read_bytes()))


def weights(name: str) -> Reader:
    def write(folder: Path) -> Path:
        write_all(folder)
        return folder / name

    def read(path: Path) -> None:
        with open_arrays(path) as arrays:
            for array in arrays.values():
                np.asarray(array)

    return Reader(write, read)


def label_list(ending: str) -> Reader:
    text = next(lines.text for lines in whole_lists() if lines.ending == ending)

    def write(folder: Path) -> Path:
        path = folder / f'val{ending}'
        path.write_text(text)
        return path

    return Reader(write, lambda path: read_labels(path, IMAGES, CLASSES))


def excluded_list(folder: Path) -> Path:
    path = folder / 'excluded.txt'
    path.write_text('\n'.join(IMAGES))
    return path


RUN_FILES = ('config.json', 'verdict.json', 'lineage.json', 'metrics.jsonl')
WEIGHT_FILES = ('a.safetensors', 'a.h5', 'a.weights.h5', 'a.keras')
PICTURES = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'TIFF', 'PPM', 'AVIF')

READERS = {
    **{name: in_run(name) for name in (*RUN_FILES, 'classes.json')},
    **{name: weights(name) for name in WEIGHT_FILES},
    **{form: picture_file(form) for form in PICTURES},
    **{ending: label_list(ending) for ending in ('.txt', '.csv')},
    'sweep.json': Reader(
        lambda folder: copied('sweep')(folder) / 'sweep.json',
        lambda path: str(read_sweep(path.parent)),
    ),
    'net.json': Reader(
        copied('net.json', 'net.safetensors'),
        lambda path: weight_network(find_weights(path.with_suffix('.safetensors'))),
    ),
    'export': Reader(copied('net.npz'), lambda path: str(load_export(path))),
    'probabilities': Reader(copied('run/probabilities-1.npz'), load_probabilities),
    'excluded': Reader(
        excluded_list, lambda path: read_excluded(argparse.Namespace(exclude=path))
    ),
}


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """Draws bytes that resemble a whole file, or now and then any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = whole
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 1, 1, 2, 8, 200, len(content)]))
        new = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        content = content[:place] + new + content[place + length :]
    return content


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', READERS)
def test_a_reader_returns_a_value_or_raises_a_value_error(name, capfd):
    reader, refusals = READERS[name], []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = reader.write(Path(folder))
        whole = path.read_bytes()
        reader.read(path)

        @settings(
            max_examples=EXAMPLES,
            deadline=LONGEST,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(damaged(whole))
        def check(content):
            path.write_bytes(content)
            try:
                reader.read(path)
            except ValueError as error:
                refusals.append(str(error))

        check()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < MOST_MEMORY
    assert refusals
    assert max(map(len, refusals)) < 1000
