"""Files of a run that are flipped, cut, deleted or swapped: nothing wrong is shown."""

import json
import random
import re
import shutil
from collections import Counter

import pytest
from helpers import fake_runs
from helpers.training import arguments, records

import inception_jax as ij
from inception_jax.__main__ import main
from inception_jax.evaluation.probabilities import load_probabilities
from inception_jax.reports.page import study_page
from inception_jax.reports.study import read_study
from inception_jax.reports.table import table_rows
from inception_jax.runs.checksum_file import add_file_checksum
from inception_jax.runs.records import METRICS, read_records, start_records
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import CONFIG

# A resume and an evaluation compare the config with that of the checkpoints.
RESULTS = (METRICS, 'verdict.json', 'classes.json', 'lineage.json', 'checksums.txt')


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Returns a small trained run, and its results."""
    folder = tmp_path_factory.mktemp('whole') / 'run'
    assert main(arguments(folder, run__epochs=2)) == 0
    return folder


def results(folder):
    """Returns the numbers and names of a run as commands read them."""
    run = Run(folder)
    study = read_study([folder])
    study_page(study, table_rows(study))
    return json.loads(
        json.dumps(
            [read_records(folder), run.outcome, run.lineage, run.class_names, str(run)]
        ).replace(str(folder), 'FOLDER')
    )


def damage(folder, names, seed):
    """Damages one of the named files of a run; returns how."""
    chance = random.Random(seed)
    path = folder / chance.choice(names)
    kind = chance.choice(['flip', 'digit', 'cut', 'stretch', 'delete', 'swap', 'line'])
    content = path.read_bytes() or b'0'
    place = chance.randrange(len(content))
    match kind:
        case 'flip':
            flipped = bytes([content[place] ^ 1 << chance.randrange(8)])
            content = content[:place] + flipped + content[place + 1 :]
        case 'digit':
            digits = [m.start() for m in re.finditer(rb'\d', content)]
            place = chance.choice(digits or [0])
            other = bytes([(content[place] - 48 + chance.randint(1, 9)) % 10 + 48])
            content = content[:place] + other + content[place + 1 :]
        case 'cut':
            content = content[:place]
        case 'stretch':
            content = content[:place] + content[place + chance.randint(1, 2000) :]
        case 'line':
            lines = content.splitlines(keepends=True)
            lines.insert(chance.randrange(len(lines)), lines.pop(place % len(lines)))
            content = b''.join(lines)
        case 'swap':
            content = (folder / chance.choice(names)).read_bytes()
    path.unlink() if kind == 'delete' else path.write_bytes(content)
    return f'{kind} {path.name}'


def outcome_of(folder, expected):
    """Returns whether damage is refused in a line, is harmless or hides a file."""
    try:
        after = results(folder)
    except ValueError as error:
        return 'refused' if '\n' not in str(error) else pytest.fail(str(error))
    if after == expected:
        return 'same'
    pairs = list(zip(after, expected, strict=True))
    # A file that is not there is no wrong number.
    assert all(new in ([], None, old) for new, old in pairs[:-1]), pairs
    return 'missing'


def check(whole, tmp_path, seeds):
    expected, counts = results(whole), Counter()
    for seed in seeds:
        folder = shutil.copytree(whole, tmp_path / str(seed))
        files = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}
        names = sorted(n for n in RESULTS if (folder / n).exists())
        how = damage(folder, [*names, METRICS], seed)
        changed = {
            p for p, old in files.items() if not p.exists() or old != p.read_bytes()
        }
        result = outcome_of(folder, expected)
        counts[result] += 1
        intact = {p: old for p, old in files.items() if p not in changed}
        assert all(p.read_bytes() == old for p, old in intact.items()), how
        shutil.rmtree(folder)
    return counts


def test_some_damage_is_refused_or_does_no_harm(whole, tmp_path):
    assert check(whole, tmp_path, range(25))['refused'] > 8


@pytest.mark.slow
def test_damage_of_200_seeds_is_refused_or_does_no_harm(whole, tmp_path, capsys):
    counts = check(whole, tmp_path, range(200))
    with capsys.disabled():
        print(f' {dict(counts)}')
    assert counts['refused'] > 80


def run_commands(whole, tmp_path, seeds, capsys):
    """Evaluates and resumes damaged copies of a run; returns how many end in each way.

    Any file may be damaged, those of checkpoints too. A command that ends with status 0
    has the numbers of the whole run.
    """
    counts, error = Counter(), last_error(whole)
    files = (p for p in whole.rglob('*') if p.is_file())
    names = sorted(str(p.relative_to(whole)) for p in files)
    read = [n for n in names if n.startswith('checkpoints') or n in (*RESULTS, CONFIG)]
    network = f'--network={Run(whole).config["network"]["name"]}'
    for seed in seeds:
        folder = shutil.copytree(whole, tmp_path / str(seed))
        how = damage(folder, read, seed)
        statuses = {}
        for command in ('evaluate', 'train'):
            capsys.readouterr()
            statuses[command] = main([command, f'--workdir={folder}', network])
            printed = capsys.readouterr().err
            counts[f'{command}: {statuses[command]}'] += 1
            assert 'Traceback' not in printed
            if statuses[command]:
                assert statuses[command] == 2, (how, printed)
                lines = printed.splitlines()
                assert sum(not line.startswith('note: ') for line in lines) == 1, how
        if not statuses['evaluate']:
            evaluated = load_probabilities(folder / 'probabilities-1.npz')
            assert evaluated.scores.top_1.error == pytest.approx(error), how
        if not statuses['train']:
            assert records(folder) == records(whole), how
        shutil.rmtree(folder)
    return counts


def last_error(folder):
    """Returns the top-1 error of the last evaluation of a run, in percent."""
    return read_records(folder, 'evaluation')[-1]['top_1_error']


def test_some_damage_to_any_file_leaves_the_numbers_of_commands(
    whole, tmp_path, capsys
):
    counts = run_commands(whole, tmp_path, range(6), capsys)
    assert counts['train: 0']


@pytest.mark.slow
def test_damage_of_200_seeds_to_any_file_leaves_the_numbers_of_commands(
    whole, tmp_path, capsys
):
    counts = run_commands(whole, tmp_path, range(200), capsys)
    with capsys.disabled():
        print(f' {dict(counts)}')
    assert counts['evaluate: 2'] > 20


@pytest.fixture
def folder(tmp_path):
    """Returns a fake run with checksums."""
    folder = fake_runs.write_run(tmp_path / 'run', fake_runs.Fate(end=60))
    start_records(folder, read_records(folder))
    add_file_checksum(folder, 'verdict.json')
    return folder


@pytest.mark.parametrize(
    'change',
    [
        lambda lines: [lines[0].replace(b'0.0', b'0.1', 1), *lines[1:]],
        lambda lines: [*lines[:2], *lines[4:]],
        lambda lines: lines[:-3],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [],
    ],
)
def test_records_that_changed_are_noticed(change, folder):
    path = folder / METRICS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b''.join(change(lines)))
    with pytest.raises(ValueError, match=r'metrics\.jsonl') as error:
        ij.run(folder).records('train')
    assert str(folder) in str(error.value)
    (folder / 'checksums.txt').unlink()
    if change(lines)[:1] == lines[:1]:
        assert len(ij.run(folder).records('train')['step'])


def test_a_verdict_that_changed_is_noticed(folder):
    path = folder / 'verdict.json'
    path.write_text(path.read_text().replace('"steps_done": 60', '"steps_done": 61'))
    with pytest.raises(ValueError, match=r'verdict\.json is not what the run wrote'):
        _ = ij.run(folder).verdict


CRAFTED = [b'', b'[]', b'3', b'null', b'"a"', b'{}', b'\xff\xfe', b'{"verdict": 1}']
CRAFTED += [b'[' * 100_000, b'{"a":' * 5_000 + b'1' + b'}' * 5_000, b'{"step": 1e999}']
CRAFTED += [b'{"verdict": "alive", "steps_done": "x", "steps": []}']
CRAFTED += [b'{"verdict": "alive", "steps_done": 3, "steps": 3, "classes": 0}']
CRAFTED += [b'{"split": "train", "step": "1"}\n{}\n', b'{"split": [], "step": {}}\n1\n']


@pytest.mark.parametrize('content', CRAFTED, ids=range(len(CRAFTED)))
@pytest.mark.parametrize(
    'name',
    ['config.json', 'verdict.json', 'lineage.json', 'metrics.jsonl', 'sweep.json'],
)
def test_json_of_another_kind_is_refused_by_its_name(name, content, tmp_path, capsys):
    folder = fake_runs.write_run(tmp_path / 'run', fake_runs.Fate(end=60))
    (folder / name).write_bytes(content)
    status = main(['report', str(folder), f'--output={tmp_path / "a.html"}'])
    error = capsys.readouterr().err
    if status == 0:
        # The last line of metrics.jsonl may be that of a killed run.
        assert name == METRICS
        assert content.count(b'\n') < 2
    else:
        assert status == 2
        assert name in error
        assert error.count('\n') == 1
