"""evaluate and ensemble as a user runs them."""

import json
import shutil

import chex
import jax
import numpy as np
import pytest
from helpers.images import images
from helpers.tables import unaligned
from helpers.training import arguments, records

import inception_jax as ij
from inception_jax.__main__ import main
from inception_jax.evaluation import evaluate as compute_module
from inception_jax.evaluation import probabilities


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    assert main(arguments(folder, run__epochs=4)) == 0
    return folder


def evaluate(workdir, *options):
    return main(['evaluate', f'--workdir={workdir}', *map(str, options)])


def printed_json(capsys):
    return json.loads(capsys.readouterr().out)


def test_one_crop_has_the_errors_that_the_run_recorded(workdir, tmp_path, capsys):
    path = tmp_path / 'one.npz'
    assert evaluate(workdir, '--output', path, '--format=json') == 0
    printed = printed_json(capsys)
    recorded = [r for r in records(workdir) if r['split'] == 'evaluation'][-1]
    errors = printed['errors']['all']
    assert errors['images'] == recorded['examples'] == 64
    assert errors['top_1']['error'] == pytest.approx(recorded['top_1_error'])
    assert errors['top_5']['error'] == pytest.approx(recorded['top_5_error'])
    assert printed['about']['step'] == 32
    assert printed['about']['unreadable'] == 0


def test_raw_weights_are_evaluated_beside_the_averages(workdir, tmp_path, capsys):
    state = ij.state_at(workdir)
    assert evaluate(workdir, '--raw', '--format=json') == 0
    captured = capsys.readouterr()
    assert 'raw weights of step 32' in captured.err
    assert json.loads(captured.out)['about']['parameters'] == 'raw'
    assert (workdir / 'raw-probabilities-1.npz').exists()
    assert evaluate(workdir, '--output', workdir / 'raw-probabilities-1.npz') == 2
    assert 'holds another evaluation' in capsys.readouterr().err
    for raw, variables in ((True, state.variables), (False, state.ema)):
        network = ij.trained(workdir, raw=raw)
        chex.assert_trees_all_equal(jax.device_get(network.variables), variables)
        path = tmp_path / f'{raw}.safetensors'
        assert ij.convert(workdir, path, raw=raw).info.origin['parameters'] == (
            'raw' if raw else 'averages'
        )
        chex.assert_trees_all_equal(
            ij.load_weights(path, 'helpers.tiny:NET').variables, variables
        )
    assert main(['evaluate', f'--weights={path}', '--raw']) == 2
    assert '--raw applies to a run' in capsys.readouterr().err
    with pytest.raises(ValueError, match='is no run'):
        ij.trained(path, raw=True)
    with pytest.raises(ValueError, match='is no run; leave out raw'):
        ij.convert(path, tmp_path / 'slim.safetensors', to='slim', raw=True)


def test_a_subset_is_reported_beside_all_images_without_the_network(
    workdir, tmp_path, monkeypatch, capsys
):
    path, out = tmp_path / 'twelve.npz', tmp_path / 'out.txt'
    assert evaluate(workdir, '--crops=12', '--output', path) == 0
    # Numbers are those at the end of the ids, from 0 on in synthetic images.
    out.write_text('3\n0\n17\n')
    capsys.readouterr()
    # The same again computes nothing.
    monkeypatch.setattr(compute_module, 'compute_probabilities', None)
    assert evaluate(workdir, '--crops=12', '--output', path, '--exclude', out) == 0
    table = capsys.readouterr().out.splitlines()
    assert unaligned(table[2]).startswith('| all | 64 | ')
    assert unaligned(table[3]).startswith('| without 3 | 61 | ')
    assert main(['ensemble', str(path), f'--exclude={out}']) == 0
    assert capsys.readouterr().out.splitlines() == table
    monkeypatch.undo()
    stored = probabilities.load_probabilities(path)
    rest = ~np.isin(np.arange(64), [3, 0, 17])
    error = 100 * np.mean(stored.softmax.argmax(1) != stored.labels, where=rest)
    assert f'| without 3 | 61 | {error:.2f} |' in unaligned(table[3])


def test_an_ensemble_is_averaged_and_written(workdir, tmp_path, capsys):
    paths = [tmp_path / f'{n}.npz' for n in (1, 10)]
    for path, crops in zip(paths, (1, 10), strict=True):
        assert evaluate(workdir, f'--crops={crops}', '--output', path) == 0
    capsys.readouterr()
    mean = tmp_path / 'mean.npz'
    files = map(str, paths)
    assert main(['ensemble', *files, f'--output={mean}', '--format=json']) == 0
    members = printed_json(capsys)['about']['ensemble']
    assert [member['crops'] for member in members] == [1, 10]
    first, second, both = (
        probabilities.load_probabilities(path) for path in (*paths, mean)
    )
    average = (first.softmax.astype(np.float64) + second.softmax) / 2
    np.testing.assert_allclose(both.softmax, average, rtol=1e-6)


def test_an_ensemble_does_not_write_over_its_files(workdir, tmp_path, capsys):
    paths = [tmp_path / f'{n}.npz' for n in (1, 10)]
    for path, crops in zip(paths, (1, 10), strict=True):
        assert evaluate(workdir, f'--crops={crops}', '--output', path) == 0
    before = paths[0].read_bytes()
    capsys.readouterr()
    files = [str(path) for path in paths]
    assert main(['ensemble', *files, f'--output={paths[0]}']) == 2
    assert 'is one of the files; name another one' in capsys.readouterr().err
    assert paths[0].read_bytes() == before
    assert main(['ensemble', files[0], files[0]]) == 2
    assert 'is named twice; an ensemble has different' in capsys.readouterr().err


@pytest.mark.parametrize(
    'option', ['--worst-classes=-1', '--confusions=-1', '--batch-size=-1']
)
def test_a_number_below_0_is_refused(workdir, option, capsys):
    with pytest.raises(SystemExit, match='2'):
        evaluate(workdir, option)
    assert 'invalid count value' in capsys.readouterr().err


def test_a_batch_of_nothing_is_refused(workdir, capsys):
    assert evaluate(workdir, '--batch-size=0') == 2
    assert 'a batch of 0 crops; expected 1 or more' in capsys.readouterr().err


def test_classes_and_confusions_are_reported(workdir, tmp_path, capsys):
    path = tmp_path / 'one.npz'
    options = ('--output', path, '--worst-classes=2', '--confusions=3')
    assert evaluate(workdir, *options, '--format=json') == 0
    printed = printed_json(capsys)
    assert len(printed['classes']) == 2
    assert {row['images'] for row in printed['classes']} == {16}
    assert len(printed['confusions']) <= 3
    assert evaluate(workdir, *options, '--format=csv') == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'images,number,top-1 error,95 %,top-5 error,95 %'
    assert lines[3] == 'class,images,top-1 error,top-5 error,mistaken for'


def test_the_tables_of_four_classes_have_no_top_5_error(workdir, tmp_path, capsys):
    path = tmp_path / 'one.npz'
    assert evaluate(workdir, '--output', path, '--worst-classes=1') == 0
    lines = capsys.readouterr().out.splitlines()
    assert unaligned(lines[0]) == '| images | number | top-1 error | 95 % |'
    assert unaligned(lines[4]) == '| class | images | top-1 error | mistaken for |'
    scores = probabilities.load_probabilities(path).scores
    assert 'top-5' not in str(scores)
    assert 'top-5 error 0.00 %' in str(scores._replace(classes=6))


def test_a_file_of_another_evaluation_is_left_alone(workdir, tmp_path, capsys):
    path = tmp_path / 'one.npz'
    assert evaluate(workdir, '--output', path) == 0
    before = path.read_bytes()
    capsys.readouterr()
    assert evaluate(workdir, '--output', path, '--crops=10') == 2
    printed = capsys.readouterr().err
    assert (
        'holds another evaluation (crops 1 there, 10 here); remove it or name another'
        in printed
    )
    assert printed.count('\n') == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            ['--source=synthetic:64/5'],
            'has 5 classes (0, ...), and the network knows 4',
        ),
        (['--source=digits', '--split=test'], 'digits has 10 classes'),
        (['--batch-size=3'], '3'),
        (['--step=999'], '999'),
        (['--exclude=nowhere.txt'], 'nowhere.txt'),
        (['--nonsense'], 'unknown argument --nonsense'),
    ],
)
def test_a_mistake_is_one_line(options, message, workdir, capsys):
    assert evaluate(workdir, *options) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1


def test_an_evaluation_is_bound_to_its_images(tmp_path, capsys):
    folder, run, out = (tmp_path / name for name in ('images', 'run', 'out.npz'))
    images(folder)
    source = {'data__source': f'folder:{folder}', 'run__epochs': 1}
    assert main(arguments(run, **source)) == 0
    assert evaluate(run, '--output', out) == 0
    shutil.copy(folder / 'test' / '0' / '1.png', folder / 'test' / '0' / '0.png')
    capsys.readouterr()
    assert evaluate(run, '--output', out) == 2
    printed = capsys.readouterr().err
    assert 'trained: the content of images differs' in printed
    assert 'holds another evaluation (other images: ' in printed
    other = ('--output', out, '--source', f'folder:{folder}', '--split', 'train')
    assert evaluate(run, *other) == 2
    assert "holds another evaluation (split 'test' there" in capsys.readouterr().err


def test_an_interrupted_evaluation_does_not_resume_on_other_images(
    workdir, tmp_path, capsys
):
    folder, out = tmp_path / 'images', tmp_path / 'out.npz'
    images(folder)
    options = ('--output', out, '--source', f'folder:{folder}', '--split', 'test')
    assert evaluate(workdir, *options) == 0
    whole = probabilities.load_probabilities(out)
    half = probabilities.without_images(whole, whole.ids[16:].tolist())
    half.metadata['done'] = 16
    probabilities.save_probabilities(out.with_name('out.npz.part'), half)
    out.unlink()
    shutil.copy(folder / 'test' / '0' / '1.png', folder / 'test' / '0' / '0.png')
    capsys.readouterr()
    assert evaluate(workdir, *options) == 2
    assert 'holds another evaluation (other images: ' in capsys.readouterr().err
