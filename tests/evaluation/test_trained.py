"""A trained network as a value: predictions, features and evaluations in a notebook."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from helpers.tiny import NET
from helpers.training import arguments
from PIL import Image

from inception_jax.__main__ import main
from inception_jax.data.sources.open import open_source
from inception_jax.evaluation import apply
from inception_jax.evaluation.evaluate import evaluate
from inception_jax.evaluation.predict import predict
from inception_jax.evaluation.probabilities import ensemble, load_probabilities
from inception_jax.evaluation.scores import scores
from inception_jax.evaluation.trained import TrainedNetwork, trained
from inception_jax.model.initializers import initial_variables
from inception_jax.runs.run import Run


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'saved'
    assert main(arguments(folder, run__epochs=2)) == 0
    return folder


@pytest.fixture(scope='module')
def run(workdir):
    return trained(workdir)


@pytest.fixture(scope='module')
def pixels():
    """Returns three images in memory."""
    source = open_source('synthetic:3/4', 'test')
    return np.stack([source[index].image for index in range(3)])


@pytest.fixture
def folder(pixels, tmp_path):
    """Returns a folder with the same images as files."""
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f'{index}.png')
    return tmp_path


def test_a_run_shows_its_network_and_its_step(run):
    parameters = sum(x.size for x in jax.tree.leaves(run.variables['params']))
    assert repr(run) == (
        f'TrainedNetwork(tiny, {parameters:,} parameters, run saved, step 16)'
    )
    assert str(run).startswith(repr(run))
    assert '  classes: 4: 0, 1, 2, 3\n' in str(run)


def test_a_weight_file_opens_by_str_or_path_and_predicts_what_its_run_does(
    run, workdir, pixels, tmp_path
):
    path = tmp_path / 'tiny.safetensors'
    assert main(['convert', str(workdir), str(path)]) == 0
    for either in (path, str(path)):
        same = trained(either, network='helpers.tiny:NET')
        assert repr(same) == repr(run)
        assert same.predict(pixels) == run.predict(pixels)


def test_files_folders_and_arrays_have_the_same_predictions(run, pixels, folder):
    files = [folder / f'{index}.png' for index in range(3)]
    of_arrays = run.predict(pixels, top=2)
    assert [prediction.image for prediction in of_arrays] == ['0', '1', '2']
    assert all(len(prediction.classes) == 2 for prediction in of_arrays)
    for images in (folder, str(folder), files, [str(file) for file in files]):
        predictions = run.predict(images, top=2)
        assert [prediction.image for prediction in predictions] == list(map(str, files))
        assert [p[1:] for p in predictions] == [p[1:] for p in of_arrays]
    assert [p[1:] for p in run.predict(list(pixels), 2)] == [p[1:] for p in of_arrays]


def test_predictions_are_those_of_the_command(run, workdir, folder, capsys):
    options = ['--workdir', str(workdir), '--format=json', '--crops=10', str(folder)]
    assert main(['predict', *options]) == 0
    for row, prediction in zip(
        json.loads(capsys.readouterr().out), run.predict(folder, crops=10), strict=True
    ):
        assert row['image'] == prediction.image
        pairs = zip(prediction.classes, prediction.probabilities, strict=True)
        assert row['classes'] == [{'class': n, 'probability': p} for n, p in pairs]


def test_images_of_several_sizes_may_be_a_list(run, pixels):
    predictions = run.predict([pixels[0], pixels[1][:20, :50], pixels[2][..., 0]])
    assert predictions[0] == run.predict(pixels)[0]
    assert len(predictions) == 3


def test_features_are_an_array_of_all_images(run, pixels):
    assert run.features(pixels).shape == (3, 16)
    assert run.features(pixels, 'stem').shape == (3, 8, 8, 16)
    logits = run.features(pixels, 'logits')
    (first, *_) = run.predict(pixels)
    best = run.class_names.index(first.classes[0])
    shares = np.asarray(jax.nn.softmax(logits[0]))
    assert shares.argmax() == best
    assert first.probabilities[0] == pytest.approx(shares[best], rel=1e-5)


def test_a_network_is_compiled_once_for_all_its_predictions(run, pixels):
    run.predict(pixels)
    before = apply._softmax_program.cache_info().misses
    run.predict(pixels[:1])
    other = run._replace(variables=jax.tree.map(lambda x: 2 * x, run.variables))
    assert other.predict(pixels) != run.predict(pixels)
    assert apply._softmax_program.cache_info().misses == before


def test_a_run_is_evaluated_on_its_own_images_and_writes_nothing(run, workdir):
    files = sorted(workdir.rglob('*'))
    probabilities = run.evaluate()
    assert repr(probabilities) == 'Probabilities(64 images, 4 classes, tiny)'
    assert str(probabilities) == f'tiny: {probabilities.scores}'
    parts = []
    probabilities._repr_pretty_(SimpleNamespace(text=parts.append), False)
    assert parts == [f'{probabilities!r}\n{probabilities}']
    error = 100 * np.mean(probabilities.softmax.argmax(1) != probabilities.labels)
    assert probabilities.scores == scores(probabilities)
    top_1 = probabilities.scores.top_1
    assert top_1.error == pytest.approx(error)
    assert top_1.low < error < top_1.high
    assert sorted(workdir.rglob('*')) == files


def test_an_output_is_read_again_and_files_make_an_ensemble(run, tmp_path):
    options = {'source': 'synthetic:32/4', 'split': 'other'}
    paths = [tmp_path / '1.npz', tmp_path / '10.npz']
    for path, crops in zip(paths, (1, 10), strict=True):
        evaluate(run, crops=crops, output=path, **options)
    again = run.evaluate(**options, output=str(paths[0]))
    assert np.array_equal(again.softmax, load_probabilities(paths[0]).softmax)
    both = ensemble(list(map(str, paths)))
    assert repr(both) == 'Probabilities(32 images, 4 classes, ensemble of 2)'


def test_variables_of_a_notebook_predict_as_a_trained_network(pixels):
    variables = initial_variables(NET, seed=0, scheme='he')
    network = TrainedNetwork.from_variables(NET, variables)
    assert len(predict(network, pixels, top=10)[0].classes) == 10
    with pytest.raises(ValueError, match='2 class names, and tiny has 10 classes'):
        TrainedNetwork.from_variables(NET, variables, ('ant', 'bee'))
    with pytest.raises(ValueError, match='has no images of its own'):
        network.evaluate()


@pytest.mark.parametrize(
    ('images', 'message'),
    [
        ('nowhere.jpg', 'there is no such file or folder'),
        ([], 'no images; expected one path or array or more'),
        (np.zeros((20, 20, 3), np.uint8), r'a single image is image\[None\]'),
        (
            np.zeros((5, 20, 20, 3), np.float32),
            r'shape \[5, 20, 20, 3\] and type float32; expected pixels from 0 to 255',
        ),
        (
            np.zeros((4, 8, 9), np.uint8),
            r'\[4, 8, 9\] and .* grey: images\[\.\.\., None',
        ),
        (
            np.zeros((2, 3, 8, 8), np.uint8),
            r'\[2, 3, 8, 8\] .*\[images, height, width, ',
        ),
        (np.zeros((2, 0, 8, 3), np.uint8), r'images of shape \[2, 0, 8, 3\]'),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros(8)], r'image 1 of shape \[8\] and'),
        (['a.png', np.zeros((8, 8, 3), np.uint8)], 'a list of paths and arrays'),
    ],
)
def test_other_images_are_refused_in_one_line(run, images, message):
    with pytest.raises(ValueError, match=message) as error:
        run.predict(images)
    assert '\n' not in str(error.value)
    with pytest.raises(ValueError, match=message):
        run.features(images)


def test_grey_pixels_are_predicted_with_and_without_a_channel(run, pixels):
    grey = pixels[..., :1]
    expected = run.predict(grey.repeat(3, axis=-1))
    assert run.predict(grey) == run.predict(list(grey[..., 0])) == expected


def test_a_run_or_its_folder_stands_for_its_network(workdir, run, pixels):
    for either in (Run(workdir), str(workdir)):
        assert str(evaluate(either)) == str(run.evaluate())
    assert predict(Run(workdir), pixels) == run.predict(pixels)
    with pytest.raises(TypeError, match='7 is not a trained network, a run or a path'):
        evaluate(7)


def test_a_path_that_holds_no_trained_network_is_refused(workdir, tmp_path):
    for path in (tmp_path, tmp_path / 'nowhere', tmp_path / 'nowhere.safetensors'):
        with pytest.raises(ValueError, match=str(path)):
            trained(path)
    with pytest.raises(ValueError, match="not 'inception_v4'"):
        trained(workdir, network='inception_v4')
    with pytest.raises(ValueError, match='999'):
        trained(workdir, step=999)
    with pytest.raises(ValueError, match='is no run; leave out step'):
        trained(workdir / 'config.json', step=1)
