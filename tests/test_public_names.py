"""The public face: `import inception_jax as ij`."""

import ast
import doctest
import inspect
import subprocess
import sys

import numpy as np
import pytest
from helpers.house import PACKAGE
from helpers.training import environment

import inception_jax as ij
from inception_jax.evaluation.trained import TrainedNetwork

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
# Libraries are not analysed: that takes a minute, and the script uses none of them.
MYPY = """
[mypy]
ignore_missing_imports = True
follow_imports = skip
[mypy-inception_jax.*]
follow_imports = silent
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
    (tmp_path / 'script.py').write_text(SCRIPT)
    (tmp_path / 'mypy.ini').write_text(MYPY)
    result = subprocess.run(
        [sys.executable, '-m', 'mypy', 'script.py'],
        cwd=tmp_path,
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


@pytest.mark.parametrize(
    'function',
    [ij.table, ij.draw, ij.scaled, ij.init, lambda name: ij.diff(name, name)],
)
def test_a_name_in_place_of_a_network_is_one_line(function):
    with pytest.raises(TypeError, match=r"'inception_v4' is not a network; ij\.load"):
        function('inception_v4')


def test_a_state_and_an_experiment_show_themselves_in_one_line():
    experiment = ij.experiment(ij.load_config('configs/quickstart.py'))
    assert repr(experiment) == (
        'Experiment(inception_resnet_v1, digits, 10 epochs, seed 0)'
    )
    net = ij.network('tiny', ij.one('stem', ij.conv(4, 3, 2)), input_size=8)
    hparams = ij.hparams_for(
        net, **experiment.hparams, epochs=10.0, steps_per_epoch=45.0
    )
    state = ij.initial_state(net, experiment.recipe, hparams, seed=0)
    assert repr(state) == 'TrainState(step 0, 5,112 parameters)'


def test_one_question_of_a_probe_is_a_string():
    with pytest.raises(ValueError, match='no_such_folder does not exist'):
        ij.probe('no_such_folder', ask='jacobian')
    with pytest.raises(ValueError, match=r"'jacobi' is none of .* mean jacobian"):
        ij.probe('no_such_folder', ask='jacobi')


def test_a_layout_that_does_not_exist_is_named_before_the_path():
    with pytest.raises(ValueError, match=r"to 'kears' is none of .* mean keras"):
        ij.convert('no_such_file', 'out.h5', to='kears')


def test_predict_needs_a_positive_number_of_classes():
    stem = ij.one('stem', ij.conv(4, 3, 2))
    tiny = ij.network('tiny', stem, classes=3, input_size=16)
    trained = TrainedNetwork.from_variables(tiny, ij.init(tiny))
    with pytest.raises(ValueError, match='the top 0 classes; expected 1 or more'):
        trained.predict(np.zeros((1, 16, 16, 3), np.uint8), top=0)
