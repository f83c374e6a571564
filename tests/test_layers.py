"""A file imports only from lower layers, and some packages in one place only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 'inception_jax'

LAYERS = {
    'networks': 0,
    'version': 0,
    'classifier': 1,
    'fast': 1,
    'arithmetic': 1,
    'tiled': 1,
    'pooling': 1,
    'execution': 1,
    'initializers': 1,
    'recipe': 2,
    'schedules': 2,
    'by_block': 2,
    'optimizers': 2,
    'diagnostics': 2,
    'losses': 2,
    'metrics': 2,
    'state': 2,
    'steps': 2,
    'probes': 2,
    'curvature': 2,
    'verdicts': 2,
    'parallel': 3,
    'stacks': 3,
    'processes': 3,
    'checkpoints': 3,
    'logs': 3,
    'signals': 3,
    'workdirs': 3,
    'data': 3,
    'weights': 3,
    'overrides': 4,
    'settings': 4,
    'programs': 4,
    'applied': 4,
    'trained': 4,
    'annotations': 4,
    'beginnings': 4,
    'predict': 4,
    'growing': 3,
    'memory': 3,
    'allocator': 3,
    'convert': 4,
    'prepare': 4,
    'stops': 4,
    'costs': 4,
    'traffic': 4,
    'roofline': 4,
    'identity': 4,
    'errors': 4,
    'evaluation': 4,
    'probabilities': 4,
    'scores': 4,
    'plots': 4,
    'reports': 4,
    'report': 4,
    'observe': 4,
    'resume': 4,
    'train': 4,
    'summaries': 4,
    'members': 4,
    'tables': 4,
    'lockstep': 4,
    'sweep': 4,
    'speed': 4,
    'history': 4,
    'probe': 4,
    'answers': 4,
    'export': 4,
    'studies': 5,
    'paper_tables': 5,
    'paper_rows': 5,
    'commands': 5,
    '__main__': 5,
}

# Packages that stand in few places, by the files that may import them.
CONFINED = {
    'flax.linen': {'classifier'},
    'orbax': {'checkpoints'},
    'matplotlib': {'plots'},
    'plotly': {'reports'},
    'tensorboardX': {'logs'},
    'grain': {'data'},
    'tensorflow_datasets': {'data'},
    'cv2': {'data'},
    'simplejpeg': {'data'},
    'PIL': {'data'},
    'sklearn': {'data'},
    'absl': {'data'},
    'h5py': {'weights'},
    'safetensors': {'weights'},
    'ml_collections': {'commands'},
    'tensorflow': {'weights'},
    'torch': {'weights', 'speed'},
    'timm': {'speed'},
    'keras': {'speed'},
}

BARE = {'jax', 'numpy', 'flax', 'optax'}


def imports(source):
    """Yields the dotted names that a file imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def part(path):
    """Returns the file or folder of the package that a path lies in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def faults(name, source):
    """Lists what a file of the part `name` imports from above, or out of place."""
    found = []
    for imported in imports(source):
        head, _, rest = imported.partition('.')
        target = rest.split('.')[0]
        if head == 'inception_jax' and LAYERS.get(target, 0) > LAYERS[name]:
            found.append(f'{name} (L{LAYERS[name]}) imports {target}')
        for package, places in CONFINED.items():
            if f'{imported}.'.startswith(f'{package}.') and name not in places:
                found.append(f'{name} imports {package}')
        if LAYERS[name] == 0 and head in BARE:
            found.append(f'{name} (L0) imports {head}')
    return found


def files():
    return [p for p in sorted(PACKAGE.rglob('*.py')) if p != PACKAGE / '__init__.py']


@pytest.mark.parametrize('path', files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_lower_layers(path):
    assert faults(part(path), path.read_text()) == []


@pytest.mark.parametrize(
    ('name', 'line'),
    [
        ('networks', 'from inception_jax.model.classifier import Classifier'),
        ('networks', 'import jax.numpy as jnp'),
        ('steps', 'from inception_jax.data import augment'),
        ('steps', 'from inception_jax import parallel'),
        ('data', 'from inception_jax.training.loop import train'),
        ('train', 'from flax import linen as nn'),
        ('state', 'import orbax.checkpoint as ocp'),
        ('settings', 'from ml_collections import ConfigDict'),
        ('data', 'import tensorflow as tf'),
        ('train', 'import keras'),
    ],
)
def test_an_import_from_above_is_found(name, line):
    assert faults(name, line)


def test_every_file_has_its_layer_and_its_first_line():
    assert {part(path) for path in files()} == set(LAYERS)
    for path in files():
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_configs_import_only_ml_collections():
    for path in (ROOT / 'configs').glob('*.py'):
        heads = {name.split('.')[0] for name in imports(path.read_text())}
        assert heads == {'ml_collections'}, path
