"""docs/extend.md, run as it stands."""

import json
import re
import subprocess
import sys

import pytest
from helpers.paths import ROOT

from inception_jax.__main__ import main
from inception_jax.networks.describe.table import summary

BLOCKS = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/extend.md').read_text(), re.S)
FILE = re.compile(r'"""my_lab/(\w+\.py):')
CODE = [text for text in BLOCKS if not FILE.match(text)]


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Writes the files of the guide where Python finds them."""
    folder = tmp_path / 'my_lab'
    folder.mkdir()
    for text in BLOCKS:
        if name := FILE.match(text):
            (folder / name[1]).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith('my_lab')]:
        del sys.modules[name]


def test_a_block_of_a_users_own_is_described_and_counted(lab):
    from my_lab.nets import SE_INCEPTION_RESNET_V1 as net

    import inception_jax.model.initializers as initializers
    from inception_jax.networks import load

    plain, extended = summary(load('inception_resnet_v1')), summary(net)
    gates = [
        n * (2 * c * (c // 16) + c + c // 16)
        for n, c in ((5, 256), (10, 896), (5, 1792))
    ]
    assert extended['params'] == plain['params'] + sum(gates)
    params = initializers.initial_variables(net, seed=0, scheme='he')['params']
    assert set(params['a_1']) - {'module0'} == {
        'branch0_conv0',
        'branch1_conv0',
        'branch1_conv1',
        'branch2_conv0',
        'branch2_conv1',
        'branch2_conv2',
        'linear0',
    }


def test_a_network_with_it_trains_from_a_config_by_import_path(lab):
    assert (
        main(
            [
                'train',
                f'--config={ROOT}/configs/quickstart.py:'
                'my_lab.nets:SE_INCEPTION_RESNET_V1',
                f'--workdir={lab / "run"}',
                '--config.data.source=synthetic:64/4',
                '--config.network.width=0.1',
                '--config.network.depth=0.01',
                '--config.run.epochs=2',
            ]
        )
        == 0
    )
    verdict = json.loads((lab / 'run' / 'verdict.json').read_text())
    assert verdict['network'] == 'se_inception_resnet_v1'
    assert verdict['verdict'] == 'alive'


@pytest.mark.parametrize('code', CODE, ids=range(len(CODE)))
def test_the_other_code_of_the_guide_runs(lab, code):
    exec(code, {})


def test_the_commands_of_the_guide_start_from_another_folder(lab):
    command = [sys.executable, '-m', 'inception_jax', 'describe', 'my_lab.small:SMALL']
    done = subprocess.run(
        command,
        cwd=lab,
        env={'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '7x7' in done.stdout
