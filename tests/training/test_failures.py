"""Errors from outside end a run with one line that says what to do."""

import errno

import pytest

from inception_jax.runtime.signals import Stopped
from inception_jax.training.failures import outside_errors_as_stopped


@pytest.mark.parametrize(
    ('number', 'remedy'),
    [(errno.EMFILE, r'allow more open files \(ulimit -n\)'), (errno.EIO, 'check the')],
)
def test_an_error_of_the_system_names_its_remedy(number, remedy):
    with pytest.raises(Stopped, match=remedy), outside_errors_as_stopped():
        raise OSError(number, 'a reason')
