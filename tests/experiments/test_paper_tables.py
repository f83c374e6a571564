"""Tables 2 to 5: ours beside the paper's, from files, from runs, and from a sweep."""

import csv
import dataclasses

import numpy as np
import pytest
from helpers.tables import unaligned
from helpers.training import TINY, arguments

from experiments import paper_tables
from experiments.paper_rows import Row
from experiments.paper_tables import TABLES
from inception_jax.__main__ import main
from inception_jax.evaluation import probabilities
from inception_jax.evaluation.probabilities import Probabilities
from inception_jax.networks import NETWORKS
from inception_jax.networks.network import fingerprint


def mark(network):
    if network not in NETWORKS:
        return 'own'
    return fingerprint(dataclasses.replace(NETWORKS[network], classes=10))


def of(network, right, *, crops=144, images=20, seed=0):
    """Returns probabilities of a network that is right about the first images."""
    labels = np.arange(images, dtype=np.int32) % 10
    answers = np.where(np.arange(images) < right, labels, (labels + 1) % 10)
    softmax = np.full((images, 10), 0.01, np.float32)
    softmax[np.arange(images), answers] = 0.91
    metadata = {
        'network': network,
        'crops': crops,
        'seed': seed,
        'fingerprint': mark(network),
        'source': 'tfds:imagenet2012',
        'split': 'validation',
        'classes': [*'0123456789'],
    }
    ids = np.array([f'val_{i + 1:03}.JPEG' for i in range(images)])
    return Probabilities(ids, labels, softmax, metadata)


def made(number, *options):
    return paper_tables.run(TABLES[number], [*map(str, options)])


@pytest.fixture
def write(tmp_path):
    def save(name, *args, **kwargs):
        path = tmp_path / f'{name}.npz'
        probabilities.save_probabilities(path, of(*args, **kwargs))
        return path

    return save


@pytest.mark.parametrize('number', TABLES)
def test_the_tables_are_the_papers(number):
    table = TABLES[number]
    assert (table.number, table.images) == (number, 48_238 if number == 2 else 50_000)
    assert table.crops == {2: 1, 3: 12, 4: 144, 5: 144}[number]
    # The sums of the columns of every table, as the paper prints them.
    sums = {2: (107.6, 28.8), 3: (98.4, 23.2), 4: (92.6, 20.6), 5: (33.8, 10.3)}
    for column, total in zip(('top_1', 'top_5'), sums[number], strict=True):
        errors = [getattr(row, column) for row in table.rows]
        assert sum(filter(None, errors)) == pytest.approx(total)
    assert f'--crops {table.crops}`' in paper_tables.description(table)


def test_a_table_has_the_papers_errors_and_ours(write, tmp_path, capsys):
    files = [
        write('v4', 'inception_v4', 15),
        write('v3', 'inception_v3', 10),
        write('v3b', 'inception_v3', 12, seed=1),
        write('mine', 'my_net', 20),
    ]
    assert made(4, *files, f'--output={tmp_path}') == 0
    assert capsys.readouterr().err == ''
    lines = unaligned((tmp_path / 'table.md').read_text()).splitlines()
    assert lines[0] == ('# Table 4: errors of one network on 144 crops of each image')
    assert (
        '144 crops of 20 images of tfds:imagenet2012 validation; the paper' in lines[2]
    )
    cells = {line.split(' | ')[0].strip('| '): line.split(' | ')[1:] for line in lines}
    assert cells['Inception-v3'][:3] == ['2', '18.9', '45.00 (40.00 to 50.00)']
    assert cells['Inception-v4'][:3] == ['1', '17.7', '25.00 (11.19 to 46.87)']
    assert cells['ResNet-152 (dense)'][:3] == ['-', '19.4', '-']
    assert cells['my_net'][:3] == ['1', '-', '0.00 (0.00 to 16.11)']
    assert 'From the least top-1 error on, here: Inception-v4, Inception-v3.' in lines
    assert any(
        line.endswith('in the paper: Inception-v4, Inception-v3.') for line in lines
    )
    assert (tmp_path / 'table.png').read_bytes().startswith(b'\x89PNG')
    with (tmp_path / 'table.csv').open() as file:
        rows = list(csv.DictReader(file))
    errors = [r['top_1_error'] for r in rows if r['row'] == 'Inception-v3']
    assert [float(error) for error in errors] == [50.0, 40.0]


def test_an_ensemble_takes_as_many_as_the_paper_or_as_there_are(write, tmp_path):
    files = [
        write(f'r{i}', 'inception_resnet_v2', right, seed=i)
        for i, right in enumerate((20, 20, 10, 0))
    ]
    files.append(write('v4', 'inception_v4', 20))
    assert made(5, *files, f'--output={tmp_path}') == 0
    text = unaligned((tmp_path / 'table.md').read_text())
    # The fourth of a kind, which is always wrong, is not in it.
    assert '| 1 inception_v4 + 3 inception_resnet_v2 | 16.5 | 0.00 (' in text
    assert '| 0 | 17.3 | - | 3.6 | - |' in text
    assert 'x 3: 12.50 points of top-1 error below the mean of its 4 members' in text


def test_an_ensemble_of_one_kind_is_not_one_of_two(write, tmp_path):
    assert made(5, write('v4', 'inception_v4', 20), f'--output={tmp_path}') == 0
    text = unaligned((tmp_path / 'table.md').read_text())
    assert '| 1 inception_v4 + 0 inception_resnet_v2 | 16.5 | - |' in text


def test_relatives_have_a_star(tmp_path):
    relative = of('inception_v4', 20)
    relative.metadata['fingerprint'] = 'another'
    probabilities.save_probabilities(tmp_path / 'v4.npz', relative)
    assert made(4, tmp_path / 'v4.npz', f'--output={tmp_path}') == 0
    text = unaligned((tmp_path / 'table.md').read_text())
    assert '| Inception-v4 | 1* | 17.7 |' in text
    assert 'A star marks relatives of the networks' in text


def test_excluded_images_do_not_count(write, tmp_path):
    out = tmp_path / 'out.txt'
    out.write_text('\n'.join(map(str, range(11, 21))))
    path = write('v4', 'inception_v4', 10, crops=1)
    assert made(2, path, f'--exclude={out}', f'--output={tmp_path}') == 0
    text = unaligned((tmp_path / 'table.md').read_text())
    assert '1 crop of 10 images' in text
    assert '| Inception-v4 | 1 | 20.0 | 0.00 (' in text


@pytest.mark.parametrize(
    ('number', 'changes', 'message'),
    [
        (
            4,
            {},
            'holds 12 crops; Table 4 needs single networks with 144: give files',
        ),
        (3, {'images': 10}, 'file 2 have different ids'),
    ],
)
def test_a_file_that_does_not_belong_is_refused(
    number, changes, message, write, tmp_path, capsys
):
    files = [
        write('one', 'inception_v3', 1, crops=12),
        write('two', 'inception_v4', 1, crops=12, **changes),
    ]
    assert made(number, *files, f'--output={tmp_path / "out"}') == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_a_run_named_twice_is_refused(write, tmp_path, capsys):
    path = write('v4', 'inception_v4', 1)
    other = tmp_path / 'copy.npz'
    other.write_bytes(path.read_bytes())
    assert made(5, path, other) == 2
    assert f'{other} and {path} are the same; name it once' in capsys.readouterr().err


def test_an_unwritable_output_and_unknown_images_are_one_line(write, tmp_path, capsys):
    path, out = write('v4', 'inception_v4', 1), tmp_path / 'out.txt'
    out.write_text('77')
    assert made(4, path, f'--output={path}') == 2
    assert 'cannot write to' in capsys.readouterr().err
    assert made(4, path, f'--exclude={out}', f'--output={tmp_path}') == 1
    printed = capsys.readouterr().err
    assert '1 of 1 image to leave out cannot be found' in printed
    assert printed.count('\n') == 1


def test_images_are_those_of_the_run_or_of_a_scale(write, capsys):
    assert made(4, write('v4', 'inception_v4', 1), '--source=digits') == 2
    assert '--source belongs to --scale' in capsys.readouterr().err


def test_an_ensemble_is_not_a_network(write, tmp_path, capsys):
    both = [probabilities.load_probabilities(write(n, 'inception_v4', 1)) for n in 'ab']
    probabilities.save_probabilities(
        tmp_path / 'mean.npz', probabilities.ensemble(both)
    )
    assert made(4, tmp_path / 'mean.npz') == 2
    assert 'holds an ensemble; Table 4 needs single networks' in capsys.readouterr().err


@pytest.mark.parametrize('options', [(), ('x.npz', '--scale=laptop')])
def test_a_table_is_of_files_or_of_a_scale(options, capsys):
    assert made(2, *options) == 2
    assert 'or --scale laptop' in capsys.readouterr().err


def test_runs_and_sweeps_are_evaluated(tmp_path, monkeypatch):
    rows = (Row('mine', {'tiny': 1}, 20.0, 5.0),)
    monkeypatch.setitem(TABLES, 2, TABLES[2]._replace(images=64, rows=rows))
    run = tmp_path / 'run'
    assert main(arguments(run, run__epochs=2)) == 0
    sweep = ['sweep', *arguments(tmp_path / 'sweep', run__epochs=1)[1:]]
    assert main([*sweep, '--grid=seed=0,1']) == 0
    out = tmp_path / 'out'
    assert made(2, run, tmp_path / 'sweep', f'--output={out}') == 0
    assert '| mine | 3 | 20.0 | ' in unaligned((out / 'table.md').read_text())
    assert (run / 'probabilities-1.npz').exists()


def test_the_small_networks_are_trained_once(tmp_path, monkeypatch, capsys):
    small = paper_tables.LAPTOP._replace(
        config='quickstart.py',
        changes=TINY | {'run.epochs': 1},
        grids=('seed=0,1',),
    )
    monkeypatch.setattr(paper_tables, 'LAPTOP', small)
    rows = (Row('mine', {'tiny': 1}, 2, 1),)
    for number in (2, 3):
        monkeypatch.setitem(TABLES, number, TABLES[number]._replace(rows=rows))
        options = ['--scale=laptop', '--source=synthetic:64/4']
        out = tmp_path / str(number)
        assert (
            made(number, *options, f'--runs={tmp_path / "runs"}', f'--output={out}')
            == 0
        )
        assert '| mine | 2 | 2.0 | ' in unaligned((out / 'table.md').read_text())
        trained = capsys.readouterr().out.count('alive, step')
        assert trained == (2 if number == 2 else 0)
