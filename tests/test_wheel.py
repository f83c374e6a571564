"""The sdist and the wheel: built from a copy of the clone, used outside of it."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from helpers.paths import CONFIGS, ROOT

# Folders beside the project's own, some of them large.
OTHERS = {'.git', '.venv', 'build', 'dist', 'inception_jax.egg-info', 'results', 'runs'}
NARROW = ('network.width=0.02', 'network.depth=0.01', 'run.batch_size=8')
SYNTHETIC = ('data.source=synthetic:64/4', 'data.workers=0', 'run.epochs=0.2')
PYTHON = """
import inception_jax as ij
assert 'site-packages' in ij.__file__
print(ij.load_config('imagenet:inception_v3')['network']['name'])
"""

pytestmark = pytest.mark.slow


def call(*command, cwd):
    """Returns the output of a command that must succeed, without the clone's path."""
    env = {name: v for name, v in os.environ.items() if name != 'PYTHONPATH'}
    options = {'cwd': cwd, 'env': env, 'text': True, 'stderr': subprocess.STDOUT}
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False, **options)
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Returns the folder of an sdist and of the wheel that is built from it."""
    clone, dist = (
        tmp_path_factory.mktemp('a') / 'clone',
        tmp_path_factory.mktemp('dist'),
    )

    def others(folder, names):
        return OTHERS & {*names} if folder == str(ROOT) else ()

    shutil.copytree(ROOT, clone, symlinks=True, ignore=others)
    call(sys.executable, '-m', 'build', '--no-isolation', '-o', dist, clone, cwd=dist)
    return dist


@pytest.fixture(scope='module')
def installed(built, tmp_path_factory):
    """Returns the programs of a clean environment with the wheel.

    The environment borrows the dependencies of the environment that runs the tests.
    """
    venv = tmp_path_factory.mktemp('venv')
    call(sys.executable, '-m', 'venv', venv, cwd=venv)
    (wheel,) = built.glob('*.whl')
    pip = [venv / 'bin' / 'python', '-m', 'pip', 'install', '--no-deps', '--no-index']
    call(*pip, wheel, cwd=venv)
    (packages,) = venv.glob('lib/python*/site-packages')
    borrowed = [path for path in sys.path if path.endswith('-packages')]
    (packages / 'borrowed.pth').write_text('\n'.join(borrowed))
    return venv / 'bin'


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(built):
    (wheel,) = built.glob('*.whl')
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split('/')[0] for name in names}
    assert {root for root in roots if 'dist-info' not in root} == {'inception_jax'}
    data = {'py.typed', 'reports/template/page.html'}
    data |= {f'configs/{path.name}' for path in CONFIGS.glob('*.py')}
    assert {f'inception_jax/{name}' for name in data} <= set(names)


def test_the_sdist_holds_no_tests(built):
    (sdist,) = built.glob('*.tar.gz')
    with tarfile.open(sdist) as file:
        folders = {name.split('/')[1] for name in file.getnames() if '/' in name}
    assert {'tests', 'experiments', 'runs'}.isdisjoint(folders)


def test_an_installed_wheel_describes_a_network(installed, tmp_path):
    output = call(installed / 'inception-jax', 'describe', 'inception_v4', cwd=tmp_path)
    assert '42,679,816' in output  # Parameters with batch statistics.


def test_an_installed_wheel_is_imported_and_has_its_configs(installed, tmp_path):
    assert call(installed / 'python', '-c', PYTHON, cwd=tmp_path) == 'inception_v3\n'


def test_an_installed_wheel_trains_a_config_of_the_package(installed, tmp_path):
    changes = [f'--config.{change}' for change in NARROW + SYNTHETIC]
    train = [installed / 'inception-jax', 'train', '--config', 'quickstart']
    call(*train, '--workdir', 'run', *changes, cwd=tmp_path)
    call(installed / 'inception-jax', 'report', 'run', cwd=tmp_path)
    assert '<style>' in (tmp_path / 'run' / 'report.html').read_text()
