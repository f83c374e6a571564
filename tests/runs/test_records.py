"""Records on disk, and the changes to them when a run resumes."""

import contextlib
import json

import pytest

from inception_jax.runs.log import Log
from inception_jax.runs.records import read_records


def record(step, **values):
    numbers = {'cross_entropy': 1.0, 'top_1_error': 50.0, 'top_5_error': 5.0}
    return {'step': step, 'epoch': step / 10} | numbers | values


def written(folder, *records, step=0):
    with contextlib.closing(Log(folder, step=step)) as log:
        for values in records:
            log.write('train', values)


def test_a_record_is_a_line_of_strict_json(tmp_path):
    written(tmp_path, record(1, loss=float('nan')))
    (line,) = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    read = json.loads(line, parse_constant=pytest.fail)
    assert read['loss'] is None
    assert read['split'] == 'train'


def test_records_of_later_steps_are_dropped_and_come_again(tmp_path):
    written(tmp_path, record(1), record(2), record(3))
    written(tmp_path, record(3, loss=7.0), step=2)
    assert [r['step'] for r in read_records(tmp_path)] == [1, 2, 3]
    assert read_records(tmp_path)[-1]['loss'] == 7.0


def test_a_last_line_cut_short_is_left_out_and_another_one_refused(tmp_path):
    written(tmp_path, record(1), record(2))
    path = tmp_path / 'metrics.jsonl'
    path.write_text(path.read_text()[:-20])
    assert [r['step'] for r in read_records(tmp_path)] == [1]
    (tmp_path / 'checksums.txt').unlink()
    whole = path.read_text()
    path.write_text('nonsense\n' + whole)
    with pytest.raises(ValueError, match='line 1 of metrics'):
        read_records(tmp_path)
    # A line with its end was not cut short.
    path.write_text(whole.splitlines()[0] + '\nnonsense\n')
    with pytest.raises(ValueError, match='line 2 of metrics'):
        read_records(tmp_path)


def test_records_are_read_by_split(tmp_path):
    written(tmp_path, record(1))
    assert read_records(tmp_path, 'evaluation') == []
    assert len(read_records(tmp_path, 'train')) == 1
