"""The public face: `import inception_jax as ij`."""

import ast
import doctest
import inspect
import subprocess
import sys

import pytest
from helpers.house import PACKAGE
from helpers.training import environment

import inception_jax as ij

# A user's script, as an editor or a type checker sees it.
SCRIPT = """
import inception_jax as ij

network: ij.Network = ij.scaled(ij.load('inception_resnet_v2'), width=0.25, depth=0.2)
model: ij.Classifier = ij.Classifier(network, batch_norm_decay=0.9)
variables = ij.init(network, seed=0)
run: ij.Run = ij.train(ij.load_config('configs/quickstart.py'), 'runs/a')
verdict: ij.Verdict | None = run.verdict
sweep: ij.Sweep = ij.read_sweep('runs/sweep')
sweep.table()
ij.trained('runs/a').predict(['cat.jpg'])
"""
LIGHT = """
import sys
before = set(sys.modules)
import inception_jax as ij
assert set(ij.__all__) <= set(dir(ij))
print(*sorted(set(sys.modules) - before))
network = ij.load('inception_v4')
print(network, repr(network), ij.diff(network, ij.load('inception_v3')))
assert not {'jax', 'numpy', 'flax'} & set(sys.modules)
"""
CONSTANTS = {'NETWORKS', 'RULES', '__version__'}


def test_the_import_loads_neither_jax_nor_numpy():
    result = subprocess.run(
        [sys.executable, '-c', LIGHT],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = result.stdout.splitlines()[0].split()
    assert loaded == [
        'inception_jax',
        'inception_jax.runtime',
        'inception_jax.runtime.version',
    ]


def test_every_public_name_is_listed_and_loads():
    assert set(ij.__all__) <= set(dir(ij))
    for name in ij.__all__:
        assert getattr(ij, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        _ = ij.lod


def test_no_public_name_is_that_of_a_folder():
    assert not set(ij.__all__) & {path.stem for path in PACKAGE.iterdir()}


def test_editors_see_the_names_that_load():
    tree = ast.parse((PACKAGE / '__init__.py').read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    aliases = [a for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names]
    names = {
        target.id
        for n in block.body
        if isinstance(n, ast.Assign)
        for target in n.targets
    }
    names |= {alias.asname for alias in aliases if alias.asname}
    assert names | {'__version__'} == set(ij.__all__)


def test_a_type_checker_accepts_a_script_of_a_user(tmp_path):
    path = tmp_path / 'script.py'
    path.write_text(SCRIPT)
    command = [sys.executable, '-m', 'mypy', '--ignore-missing-imports']
    result = subprocess.run(
        [*command, '--follow-imports=silent', f'--cache-dir={tmp_path}', str(path)],
        env=environment() | {'MYPYPATH': str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize('name', sorted(set(ij.__all__) - CONSTANTS))
def test_a_public_name_has_an_example(name):
    value = getattr(ij, name)
    examples = doctest.DocTestFinder(recurse=False).find(value, name, globs={})
    refers = 'has an example' in (inspect.getdoc(value) or '')
    assert refers or any(example.examples for example in examples)
