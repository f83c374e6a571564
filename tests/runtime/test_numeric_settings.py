"""The settings of JAX that belong to the identity of a run."""

import json

import jax

from inception_jax.runtime.numeric_settings import numeric_settings


def test_only_settings_that_differ_from_the_defaults_are_returned():
    assert numeric_settings() == {}
    with jax.enable_x64(True), jax.default_matmul_precision('tensorfloat32'):
        settings = numeric_settings()
    assert json.loads(json.dumps(settings)) == {
        'jax_default_matmul_precision': 'tensorfloat32',
        'jax_enable_x64': True,
    }
