"""The benchmark command: its measurements are complete and add up; mistakes."""

import json

import pytest
from helpers.images import images
from helpers.paths import QUICKSTART
from helpers.tables import unaligned

from benchmarks import input as input_benchmark
from inception_jax.__main__ import main


def benchmark(*options):
    small = [
        f'--config={QUICKSTART}',
        '--seconds=0.1',
        '--config.network.input_size=75',
        '--config.run.batch_size=8',
        '--config.data.workers=0',
    ]
    return main(['benchmark', '--what=input', *small, *options])


def test_the_input_is_measured_by_stage_and_as_a_whole(capsys):
    assert benchmark('--format=json') == 0
    report = json.loads(capsys.readouterr().out)
    assert (report['source'], report['images'], report['size']) == ('digits', 1438, 75)
    assert list(report['stages']) == [
        'read',
        'decode',
        'crop and resize',
        'order, batch, transfer',
    ]
    assert min(report['stages'].values()) > 0
    assert 0 < report['one_thread'] < 1e6
    assert 0 < report['all_cores'] < 1e6
    assert report['workers'] == 0
    assert len(report['device']) == 4


def test_the_table_says_what_a_step_may_take(capsys):
    assert benchmark('--config.data.workers=1') == 0
    printed = capsys.readouterr().out
    assert 'digits train, 1,438 images; crops of 75 x 75, batches of 8' in printed
    assert ' cores, 1 process |' in printed
    assert 'ms or more do not wait.' in printed


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('--seconds=0', '--seconds is 0; expected more than 0, up to 3600'),
        ('--config.data.source=digit', 'did you mean digits'),
        ('--config.run.batch_size=7', 'batch_size 7 does not divide over 4 devices'),
        (
            '--config.data.workers=-1',
            'config.data.workers is -1; expected 0 to 1024 processes, or None',
        ),
    ],
)
def test_a_mistake_is_one_line(option, message, capsys):
    assert benchmark(option) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1


def test_the_input_is_that_of_a_config(capsys):
    assert main(['benchmark', '--what=input']) == 2
    assert '--what input needs --config FILE' in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_reported(tmp_path, capsys):
    images(tmp_path)
    (tmp_path / 'train' / '1' / '3.png').write_bytes(b'')
    assert benchmark(f'--config.data.source=folder:{tmp_path}') == 1
    printed = capsys.readouterr().err
    assert 'cannot decode image 1/3.png: 0 bytes' in printed
    assert printed.count('\n') == 1


def test_the_comparison_of_inputs_shows_the_ratios_of_the_rounds():
    sides = {
        'our transform': [2, 4, 6],
        'lean': [1, 2, 2],
        'default': [1, 1, 1],
        'our thread': [2, 2, 2],
        'our cores': [8, 8, 8],
        'their loader': [4, 2, 4],
    }
    measured = {
        name: [input_benchmark.Rates(core=rate, clock=10 * rate) for rate in rates]
        for name, rates in sides.items()
    }
    printed = unaligned(input_benchmark.show(measured))
    assert "| our transform | one core's second | 4 | 2 to 6 |" in printed
    assert '| their loader | second of ' in printed
    assert 'our transform / lean: 2.00 (2.00 to 3.00)' in printed
    assert 'our cores / their loader: 2.00 (2.00 to 4.00)' in printed
