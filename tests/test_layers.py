"""The layout: imports between folders, and the only folder that imports a package."""

import ast
import graphlib
from pathlib import Path

import pytest
from helpers.house import (
    PACKAGE,
    arrows_between_files,
    arrows_between_rooms,
    floors,
    imported_names,
    room_of,
    source_files,
)

ROOT = PACKAGE.parent

# A folder imports from the lines above it, never from its own line.
LAYERS = (
    ('networks', 'runtime'),
    ('model', 'data'),
    ('steps',),
    ('stability', 'parallel'),
    ('config', 'plots'),
    ('runs', 'weights'),
    ('training',),
    ('lab', 'evaluation', 'speed'),
    ('reports',),
    ('commands',),
    ('__init__', '__main__'),
)
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}

# The folder that alone may import a package.
HOME_OF = {
    'flax.linen': 'model',
    'orbax': 'runs',
    'tensorboardX': 'runs',
    'matplotlib': 'plots',
    'plotly': 'reports',
    'grain': 'data',
    'tensorflow_datasets': 'data',
    'cv2': 'data',
    'simplejpeg': 'data',
    'PIL': 'data',
    'sklearn': 'data',
    'absl': 'data',
    'safetensors': 'weights',
    'h5py': 'weights',
    'tensorflow': 'weights',
    'torch': 'weights',
    'ml_collections': 'config',
    'timm': None,
    'keras': None,
}
WITHOUT_JAX = {'networks': {'jax', 'numpy', 'flax', 'optax'}}


def faults(room: str, source: str) -> list[str]:
    """Lists the imports of a file in `room` that break a rule."""
    broken = []
    for name in imported_names(source):
        package, _, rest = name.partition('.')
        target = rest.partition('.')[0] if package == 'inception_jax' else room
        if target != room and LAYER_OF.get(target, 0) >= LAYER_OF[room]:
            broken.append(f'{room} imports {target}')
        for confined, home in HOME_OF.items():
            if f'{name}.'.startswith(f'{confined}.') and room != home:
                broken.append(f'{room} imports {confined}, which belongs to {home}')
        if package in WITHOUT_JAX.get(room, ()):
            broken.append(f'{room} imports {package}')
    return broken


@pytest.mark.parametrize(
    'path', source_files(), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_file_imports_only_from_the_layers_above(path):
    assert faults(room_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ('room', 'line'),
    [
        ('networks', 'from inception_jax.model.classifier import Classifier'),
        ('networks', 'import jax.numpy as jnp'),
        ('steps', 'from inception_jax import parallel'),
        ('lab', 'from inception_jax.evaluation import scores'),
        ('data', 'from inception_jax.training.loop import train'),
        ('training', 'from flax import linen as nn'),
        ('steps', 'import orbax.checkpoint as ocp'),
        ('commands', 'from ml_collections import ConfigDict'),
        ('data', 'import tensorflow as tf'),
        ('speed', 'import keras'),
    ],
)
def test_an_import_that_breaks_a_rule_is_detected(room, line):
    assert faults(room, line)


def test_every_room_has_its_layer_and_every_file_its_first_line():
    assert set(arrows_between_rooms()) == set(LAYER_OF)
    for path in source_files():
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_the_house_is_small_and_no_room_or_file_imports_in_a_circle():
    assert len(LAYER_OF) <= 22
    assert max(floors(arrows_between_rooms()).values()) <= 12
    assert graphlib.TopologicalSorter(arrows_between_files()).prepare() is None


def test_nothing_lies_loose_in_the_package():
    assert {path.name for path in PACKAGE.glob('*.py')} == {
        '__init__.py',
        '__main__.py',
    }


def test_configs_import_only_ml_collections():
    for path in (ROOT / 'configs').glob('*.py'):
        packages = {n.partition('.')[0] for n in imported_names(path.read_text())}
        assert packages == {'ml_collections'}, path


def test_tests_import_no_tests():
    for path in Path(__file__).parent.rglob('*.py'):
        names = [n for n in imported_names(path.read_text()) if n.startswith('test_')]
        assert names == [], path
