"""The benchmark of networks: measurements, alternating rounds, and lost peers."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from helpers.paths import ROOT
from helpers.tables import unaligned

from benchmarks import networks as networks_benchmark
from inception_jax.__main__ import main
from inception_jax.networks import load
from inception_jax.runtime import allocator
from inception_jax.runtime.signals import Stopped
from inception_jax.speed import comparison, ours, peers, process, rates, workload
from inception_jax.speed.peers import PEERS, Peer, Relative
from inception_jax.steps.hparams import Hparams

TESTS = ROOT / 'tests'

# Packages that a machine need not have if it only measures networks.
ABSENT = (
    *('grain', 'tensorflow_datasets', 'cv2', 'simplejpeg', 'PIL', 'sklearn', 'orbax'),
    *('ml_collections', 'tensorboardX', 'plotly', 'matplotlib', 'h5py', 'tqdm'),
    *('safetensors', 'torch', 'timm', 'keras', 'tensorflow'),
)


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """Lets tests share what they compile, which a measurement must not."""
    monkeypatch.setattr(comparison, 'ENVIRONMENT', {})
    monkeypatch.setattr(comparison, 'MATMUL_SECONDS', 0.1)


@pytest.fixture
def fake(monkeypatch):
    """Makes a fake peer that is tried in some settings."""

    def peer(*settings, name='fake-net', auxiliary=False):
        relative = Relative(name, 'helpers.tiny:NET', auxiliary)
        fake_peer = Peer(
            TESTS / 'helpers' / 'fake_peer.py',
            'fake',
            {'helpers.tiny:NET': relative},
            settings,
        )
        monkeypatch.setitem(peers.PEERS, 'timm', fake_peer)

    return peer


def benchmark(*options, parts='forward'):
    small = [
        '--network=helpers.tiny:NET',
        '--batch-size=4',
        '--seconds=0.1',
        '--rounds=2',
    ]
    return main(['benchmark', f'--what={parts}', *small, *options])


def test_both_parts_are_measured_with_what_they_cost(capsys):
    assert benchmark('--format=json', parts='train,forward') == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report['parts']) == ['train', 'forward']
    assert (report['batch_size'], report['dtype'], report['input_size']) == (
        4,
        'float32',
        16,
    )
    assert report['device']['platform'] == 'cpu'
    assert {'jax', 'jaxlib'} <= set(report['device']['versions'])
    for part in report['parts'].values():
        ours = part['ours']
        assert len(ours['seconds_of_rounds']) == 2
        assert ours['images_per_second']['least'] > 0
        assert 0 < ours['share_of_matmul']['median'] < 1
        assert ours['compile_seconds'] > 0 < ours['trace_seconds']
        assert ours['startup_seconds'] > ours['compile_seconds']
        assert ours['peak_bytes'] > 2**20
        assert ours['compiler_memory']['temp'] > 0
    train, forward = (report['parts'][name]['ours'] for name in ('train', 'forward'))
    assert train['flops_per_image'] == 3 * forward['flops_per_image']
    assert forward['flops_per_image'] == 2 * report['macs']


def test_another_execution_is_measured_if_asked(monkeypatch, capsys):
    requests, ask = [], process.MeasuringProcess.ask

    def noted(self, do, **request):
        requests.append(request)
        return ask(self, do, **request)

    monkeypatch.setattr(process.MeasuringProcess, 'ask', noted)
    assert benchmark('--execution=plain', '--format=json') == 0
    assert json.loads(capsys.readouterr().out)['execution'] == 'plain'
    assert {r['recipe']['execution'] for r in requests if 'recipe' in r} == {'plain'}


def test_the_table_has_units_and_says_what_the_ratio_is(fake, capsys):
    fake('fast')
    assert benchmark('--against=timm') == 0
    printed = unaligned(capsys.readouterr().out)
    assert 'helpers.tiny:NET, images of 16 x 16, batches of 4, float32' in printed
    assert 'beside fake-net of fake 1.0' in printed
    assert (
        '| part | measured | images/s | range | GFLOP/s | of a matrix product |'
        in printed
    )
    assert '| forward | timm, fast | ' in printed
    assert 'forward, helpers.tiny:NET / timm: ' in printed


def test_a_peer_is_measured_in_its_fastest_setting(fake, capsys):
    fake('fast', 'slow')
    assert benchmark('--against=timm', '--format=json') == 0
    report = json.loads(capsys.readouterr().out)
    part = report['parts']['forward']
    assert part['peer']['setting'] == 'fast'
    assert part['peer']['tried']['slow'] == pytest.approx(0.02)
    # 4 images in 0.01 s.
    assert part['peer']['images_per_second']['median'] == pytest.approx(400)
    ratio = part['ratio']
    assert ratio['least'] <= ratio['median'] <= ratio['greatest']
    assert len(ratio['rounds']) == 2
    assert part['peer']['request'] == {
        'part': 'forward',
        'network': 'fake-net',
        'setting': 'fast',
        'auxiliary': False,
        'classes': 10,
        'batch_size': 4,
        'input_size': 16,
        'dtype': 'float32',
        'platform': 'cpu',
    }
    (row,) = networks_benchmark.rows(report)
    assert row[:4] == ('helpers.tiny:NET', 'fast', '4', 'forward')
    assert len(row) == len(networks_benchmark.COLUMNS)


class Recorder:
    """A process that records its requests."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def ask(self, do, **request):
        self.log.append((self.name, do))
        return {
            'steps': {'seconds': 1.0},
            'memory': {'peak_bytes': 1},
            'matmul': {'flops_per_second': 1.0},
        }[do]


@pytest.mark.parametrize(('name', 'kept'), [('timm', False), ('keras', True)])
def test_a_peer_has_jemalloc_only_where_it_gains_by_it(monkeypatch, name, kept):
    for variable in (allocator.PRELOAD, allocator.JEMALLOC):
        monkeypatch.setenv(variable, 'ours')
    monkeypatch.setenv(allocator.SWITCH, allocator.RESTARTED)
    variables = comparison.peer_environment(PEERS[name], 'cpu')
    assert (allocator.PRELOAD in variables, allocator.JEMALLOC in variables) == (
        kept,
        kept,
    )


def test_versions_include_jemalloc_if_it_is_loaded(monkeypatch):
    for version, known in (('5.3.0', True), (None, False)):
        monkeypatch.setattr(ours.memory, 'jemalloc_version', lambda v=version: v)
        versions = ours.Ours().hello(4, devices=1)['versions']
        assert ('jemalloc' in versions) == known


@pytest.mark.parametrize(('count', 'before'), [(1, 1), (4, 1), (20, 4)])
def test_a_turn_begins_with_steps_that_do_not_count(count, before):
    sent = {}

    class Noted(Recorder):
        def ask(self, do, **request):
            sent.update(request)
            return super().ask(do)

    assert comparison.Side(Noted('ours', []), {}, count).turn() == 1.0
    assert sent == {'count': count, 'before': before}


def test_the_sides_take_turns_and_memory_is_read_before_the_matrix_product():
    log = []
    sides = {
        name: comparison.Side(Recorder(name, log), {}, 3) for name in ('ours', 'peer')
    }
    measured = comparison.alternate('train', sides, 2, lambda text: None)
    steps = [name for name, do in log if do == 'steps']
    assert steps == ['ours', 'peer', 'ours', 'peer']
    assert log.index(('ours', 'memory')) < log.index(('ours', 'matmul'))
    assert measured['peer'].seconds == [1.0, 1.0]


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        ('raises', 'timm failed: MemoryError: out of memory'),
        ('dies', 'timm died: the last line'),
        ('is killed', 'timm died: SIGKILL, perhaps for lack of memory'),
    ],
)
def test_a_peer_that_dies_is_one_line(fake, setting, message, capsys):
    fake(setting)
    assert benchmark('--against=timm') == 1
    *progress, last = capsys.readouterr().err.splitlines()
    assert last == f'inception-jax benchmark: {message}'
    assert all(line.startswith('forward: ') for line in progress)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--network=helpers.tiny:NOT'], "cannot load network 'helpers.tiny:NOT'"),
        (['--network=incepton_v4'], 'did you mean inception_v4'),
        (['--batch-size=0'], '--batch-size is 0; expected 1 or more'),
        (['--rounds=0'], '--rounds is 0; expected 1 or more'),
        (['--seconds=0'], '--seconds is 0; expected more than 0'),
        (['--input-size=1', '--network=inception_v3'], 'use at least 75'),
        (['--what=forwards'], "'forwards' is none of input, forward, train"),
        (['--what=input,train'], 'input is measured alone'),
        (['--what=input'], '--network goes with --what forward or train'),
        (['--config=quickstart.py'], '--config goes with --what input'),
        (['--peer-python=python'], '--peer-python goes with --against timm or keras'),
        (['--peer-compile'], '--peer-compile goes with --against'),
        (['--against=keras'], 'keras has no relative of helpers.tiny:NET'),
        (['--against=timm', '--width=0.5'], 'leave out --width and --depth'),
        (
            ['--against=keras', '--network=inception_v3', '--peer-compile'],
            'keras is compiled anyway',
        ),
        (
            ['--against=timm', '--network=inception_v4', '--peer-python=/no/python'],
            '/no/python cannot be started (No such file or directory)',
        ),
        (['--execution=fats'], "execution is 'fats'; expected fast, plain"),
        (['--dtypes=float32'], 'unknown argument --dtypes; did you mean --dtype?'),
    ],
)
def test_a_mistake_is_one_line(options, message, capsys):
    assert benchmark(*options) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1


def test_devices_that_cannot_start_are_reported(monkeypatch, capsys):
    monkeypatch.setenv('JAX_PLATFORMS', 'none')
    assert benchmark() == 2
    printed = capsys.readouterr().err
    assert 'JAX cannot start its devices' in printed
    assert 'JAX_PLATFORMS is none' in printed
    assert printed.count('\n') == 1


def test_a_batch_that_does_not_divide_over_the_devices_is_refused(monkeypatch, capsys):
    monkeypatch.setenv('JAX_NUM_CPU_DEVICES', '3')
    assert benchmark() == 2
    printed = capsys.readouterr().err
    assert 'batch_size 4 does not divide over 3 devices' in printed
    assert printed.count('\n') == 1


def test_a_python_without_the_peer_is_refused(capsys):
    options = ['--against=timm', '--network=inception_v3']
    if benchmark(*options) == 0:
        pytest.skip('this Python has timm')
    printed = capsys.readouterr().err
    assert "No module named 'timm'; " in printed
    assert 'needs torch timm (-m pip install), or name another Python' in printed
    assert printed.count('\n') == 1


def test_a_wheel_without_the_programs_of_peers_says_what_to_do(
    monkeypatch, tmp_path, capsys
):
    missing = PEERS['timm']._replace(program=tmp_path / 'timm_peer.py')
    monkeypatch.setitem(peers.PEERS, 'timm', missing)
    assert benchmark('--against=timm', '--network=inception_v3') == 2
    printed = capsys.readouterr().err
    assert 'timm_peer.py is missing' in printed
    assert 'run the command in a clone of the repository' in printed
    assert printed.count('\n') == 1


def test_the_programs_of_peers_use_only_the_server_of_the_package():
    for peer in PEERS.values():
        lines = peer.program.read_text().splitlines()
        modules = {line.split()[1] for line in lines if 'inception_jax' in line}
        assert modules == {'inception_jax.speed.serving'}


def test_a_network_that_the_peer_does_not_know_is_refused(fake, capsys):
    fake('fast', name='unknown')
    assert benchmark('--against=timm') == 2
    assert 'fake has no network unknown' in capsys.readouterr().err


def test_the_batch_is_halved_until_it_fits(monkeypatch, capsys):
    tried = []

    def run(command, **options):
        batch = int(command[-1].removeprefix('--batch-size='))
        tried.append(batch)
        out_of_memory = 'a line\ntimm failed: OutOfMemoryError: CUDA out of memory'
        if batch > 64:
            return subprocess.CompletedProcess(command, 1, '', out_of_memory)
        return subprocess.CompletedProcess(command, 0, '{}', '')

    monkeypatch.setattr(subprocess, 'run', run)
    assert networks_benchmark.measure(['--network=inception_v3'], 256) == '{}'
    assert tried == [256, 128, 64]
    mistake = subprocess.CompletedProcess([], 2, '', 'a mistake')
    monkeypatch.setattr(subprocess, 'run', lambda *_, **__: mistake)
    with pytest.raises(ChildProcessError, match='a mistake'):
        networks_benchmark.measure([], 256)


def test_a_row_is_of_one_question(tmp_path):
    path, options = tmp_path / 'row.json', ['--rounds=5', '--batch-size=8']
    assert networks_benchmark.read_row(path, options) is None
    row = {'asked': options, 'network': 'inception_v4', 'parts': {}}
    path.write_text(json.dumps(row))
    assert networks_benchmark.read_row(path, options) == row
    with pytest.raises(
        ValueError, match='with --batch-size=8, and now the options are --batch-size=4'
    ):
        networks_benchmark.read_row(path, ['--rounds=5', '--batch-size=4'])
    for damaged in ('{', '{"parts": {}}', '[]', '{"asked": 1, "parts": {}}'):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=r'row\.json is not a row of this script'):
            networks_benchmark.read_row(path, options)


def test_rows_are_measured_once_and_make_a_table(monkeypatch, tmp_path, capsys):
    row = json.dumps({'network': 'inception_v4', 'parts': {}})
    tried = []

    def measured(flags, batch_size):
        tried.append(flags)
        return row

    monkeypatch.setattr(networks_benchmark, 'measure', measured)
    names = [
        '--networks',
        'inception_v4',
        '--execution',
        'plain',
        '--execution',
        'fast',
    ]
    monkeypatch.setattr(sys, 'argv', ['networks.py', str(tmp_path), *names])
    assert networks_benchmark.main() == networks_benchmark.main() == 0
    assert [flags[2] for flags in tried] == ['--execution=plain', '--execution=fast']
    assert (tmp_path / 'inception_v4-bfloat16-plain.json').exists()
    assert 'ours / timm' in (tmp_path / 'networks.md').read_text()
    (tmp_path / 'inception_v4-bfloat16-fast.json').write_text('{')
    (tmp_path / 'inception_v4-bfloat16-plain.json').unlink()
    capsys.readouterr()
    assert networks_benchmark.main() == 2
    assert 'is not a row' in capsys.readouterr().err
    assert len(tried) == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['{tmp}/file'], 'File exists'),
        (['{tmp}/out', '--batch-size=0'], "'0'; expected 1 or more"),
        (['{tmp}/out', '--execution=fats'], "execution is 'fats'; expected fast"),
    ],
)
def test_a_mistake_ends_the_script_with_2(options, message, tmp_path):
    (tmp_path / 'file').touch()
    script = [sys.executable, ROOT / 'benchmarks' / 'networks.py']
    completed = subprocess.run(
        [*script, *(o.format(tmp=tmp_path) for o in options)],
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 2
    assert message in completed.stderr
    assert 'Traceback' not in completed.stderr


def test_an_interruption_ends_the_process():
    command = [sys.executable, '-c', 'import time; time.sleep(600)']
    with (
        pytest.raises(KeyboardInterrupt),
        process.start_process('sleeper', command, os.environ) as child,
    ):
        raise KeyboardInterrupt
    assert child.process.poll() is not None


def test_an_answer_that_is_not_json_stops_the_benchmark():
    command = [sys.executable, '-c', 'print("no JSON")']
    with (
        pytest.raises(Stopped, match='odd died'),
        process.start_process('odd', command, os.environ) as child,
    ):
        child.ask('hello')


def test_networks_are_measured_where_jax_flax_and_optax_are_all(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import sys\n'
        'class Absent:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        f'        if name.split(".")[0] in {ABSENT}:\n'
        '            raise ModuleNotFoundError(f"No module named {name!r}")\n'
        'sys.meta_path.insert(0, Absent())\n'
    )
    options = '--what train --network helpers.tiny:NET --batch-size 2 '
    options += '--seconds 0.1 --rounds 1'
    completed = subprocess.run(
        [sys.executable, '-m', 'inception_jax', 'benchmark', *options.split()],
        env=os.environ
        | {'PYTHONPATH': os.pathsep.join(map(str, (tmp_path, ROOT, TESTS)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert '| train | helpers.tiny:NET | ' in unaligned(completed.stdout)


@pytest.mark.parametrize('name', ['inception_v4', 'inception_resnet_v2'])
def test_the_recipe_is_that_of_imagenet_but_for_colours(name):
    from inception_jax.config.files import load_config

    config = load_config(ROOT / 'configs' / f'imagenet.py:{name}')
    recipe = workload.imagenet_recipe(dtype='float32')
    chosen = {field: config['recipe'][field] for field in workload.CHOICES}
    assert chosen == workload.CHOICES | {'colour': 'full'}
    assert (recipe.colour, recipe.dtype) == ('none', 'float32')
    assert config['hparams'].items() >= workload.NUMBERS.items()
    fields = {field.name for field in dataclasses.fields(Hparams)}
    assert fields == {*workload.NUMBERS, 'epochs', 'steps_per_epoch'}


def test_a_twin_computes_what_the_peer_does():
    names = {
        relative.twin
        for peer in peers.PEERS.values()
        for relative in peer.relatives.values()
    }
    assert all(load(name) for name in names)
    # timm's Inception-v4 is that of the paper, but for gammas.
    released, paper = load('inception_v4_slim'), load('inception_v4')
    assert rates.forward_macs(released, 'forward') == rates.forward_macs(
        paper, 'forward'
    )


def test_an_auxiliary_head_counts_where_the_peer_can_have_one():
    network = load('inception_v3')
    assert rates.forward_macs(network, 'train') > rates.forward_macs(network, 'forward')
    timm = peers.relative('timm', 'inception_v3')
    keras = peers.relative('keras', 'inception_v3')
    assert peers.comparable(network, timm) == network
    assert peers.comparable(network, keras).auxiliary is None
