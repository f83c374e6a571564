"""Weights of images that are normalised by channel."""

import jax
import numpy as np
import pytest
from helpers import narrow
from helpers.tiny import NET

from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.weights.input_normalisation import renormalised

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def test_the_first_layer_takes_another_normalisation():
    variables = initial_variables(narrow.V3_TORCHVISION, seed=0, scheme='he')
    x = np.random.default_rng(0).uniform(size=(2, 75, 75, 3))
    theirs, ours = ((x - MEAN) / STD).astype(np.float32), (2 * x - 1).astype(np.float32)
    adapted = renormalised(narrow.V3_TORCHVISION, variables, MEAN, STD)

    @jax.jit
    def apply(variables, images):
        classifier = Classifier(narrow.V3_TORCHVISION, 0.9)
        return classifier.apply(variables, images, train=False).features

    expected = apply(variables, theirs)
    largest = abs(expected).max()
    np.testing.assert_allclose(apply(adapted, ours), expected, atol=1e-5 * largest)
    assert abs(apply(variables, ours) - expected).max() > 0.01 * largest


def test_a_first_layer_with_padding_cannot():
    variables = initial_variables(NET, seed=0, scheme='he')
    with pytest.raises(ValueError, match='the first layer of tiny pads its input'):
        renormalised(NET, variables, MEAN, STD)
