"""The plan for machines that are not there: by hand, and from a dry run."""

import dataclasses
import json
import runpy
import sys

import pytest
from helpers.paths import QUICKSTART, ROOT
from helpers.training import TINY

from inception_jax.__main__ import main
from inception_jax.speed.costs import Costs, Messages
from inception_jax.speed.roofline import CHIPS

SCRIPT = ROOT / 'benchmarks' / 'plan.py'
PLAN = runpy.run_path(str(SCRIPT))

# On each device 32 images, 2 TFLOP, 40 GB; 100 MB in 100 sums; 4 GiB.
STEP = Costs(
    'TPU v5 lite',
    devices=4,
    batch_size=128,
    micro_batches=1,
    arguments=2**30,
    temporaries=3 * 2**30,
    program=0,
    flops=2e12,
    main_memory=40e9,
    bytes_accessed=90e9,
    messages={'all-reduce': Messages(100, 100_000_000)},
)


def planned(name, per_core=200.0):
    return PLAN['plan'](STEP, PLAN['MACHINES'][name], per_core)


def test_a_slice_is_one_ring_of_all_links():
    plan = planned('v5e-256')
    assert plan.batch_size == 32 * 256
    assert plan.least.arithmetic == pytest.approx(2e12 / 197e12)
    assert plan.least.memory == pytest.approx(40e9 / 819e9)
    sums = 2 * 255 / 256 * 1e8 / 180e9
    assert plan.least.messages == pytest.approx(100 * 32e-6 + sums)
    assert plan.memory == pytest.approx(1 / 4)


def test_between_hosts_goes_what_each_device_has_summed():
    """Reduce within 8, sum an eighth over 8 hosts, gather within 8."""
    plan = planned('h100-64')
    within = 2 * 7 / 8 * 1e8 / CHIPS['NVIDIA H100 80GB HBM3'].link
    between = 2 * 7 / 8 * 1e8 / 8 / 50e9
    assert plan.least.messages == pytest.approx(100 * 40e-6 + within + between)


def test_images_epochs_and_the_cores_that_decode():
    plan = planned('h100-8', per_core=50.0)
    rate = 8 * 32 / plan.least.step
    assert plan.images_per_second == pytest.approx(rate)
    assert plan.epochs_per_hour == pytest.approx(3600 * rate / 1_281_167)
    assert plan.input == pytest.approx(rate / (208 * 50))


def script(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT), *map(str, arguments)])
    return PLAN['main']()


def test_a_dry_run_is_what_it_reads(tmp_path, monkeypatch, capsys):
    fields = TINY | {'run.batch_size': 8}
    fields = [f'--config.{name}={value}' for name, value in fields.items()]
    command = ['train', '--dry-run', '--format=json', f'--config={QUICKSTART}', *fields]
    assert main(command) == 0
    costs = capsys.readouterr().out
    (tmp_path / 'cpu.json').write_text(costs)
    assert script(monkeypatch, tmp_path / 'cpu.json') == 2
    printed = capsys.readouterr()
    assert 'a step on 4 x cpu; a plan needs the traffic' in printed.err
    assert printed.out == ''
    # The same program with the name of a chip.
    (tmp_path / 'tiny.json').write_text(costs.replace('"cpu"', '"TPU v5 lite"'))
    assert script(monkeypatch, tmp_path / 'tiny.json', '--machine', 'v5e-4') == 0
    header, _, row = capsys.readouterr().out.splitlines()
    assert row.startswith('| v5e-4 | tiny, global | 8 |')
    assert row.count('|') == header.count('|')


def test_messages_that_no_plan_knows_are_refused(tmp_path):
    costs = dataclasses.asdict(STEP) | {
        'network': 'tiny',
        'parallel': {'batch_norm': 'global'},
        'messages': {'all-gather': {'count': 1, 'bytes': 1}},
    }
    (tmp_path / 'split.json').write_text(json.dumps(costs))
    with pytest.raises(ValueError, match='whose messages no plan knows'):
        PLAN['read'](tmp_path / 'split.json')


def test_a_file_that_is_not_there_and_no_cores_are_one_line(monkeypatch, capsys):
    assert script(monkeypatch, 'nowhere.json') == 2
    assert 'nowhere.json cannot be read: No such file' in capsys.readouterr().err
    with pytest.raises(SystemExit, match='2'):
        script(monkeypatch, 'nowhere.json', '--per-core=0')


@pytest.mark.parametrize('content', ['', '[]', '{"network": "tiny"}'])
def test_another_file_is_refused(tmp_path, monkeypatch, capsys, content):
    (tmp_path / 'other.json').write_text(content)
    assert script(monkeypatch, tmp_path / 'other.json') == 2
    assert 'is not what `train --dry-run --format json` prints' in (
        capsys.readouterr().err
    )
