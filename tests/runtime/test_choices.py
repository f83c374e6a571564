"""Values that must be one of a few names."""

import pytest

from inception_jax.runtime import choices


def test_a_choice_is_accepted():
    choices.check('dtype', 'float32', ('float32', 'bfloat16'))


@pytest.mark.parametrize(
    ('value', 'end'),
    [
        ('float23', 'float32, bfloat16; did you mean float32?'),
        ('half', 'float32, bfloat16'),
        (None, 'None is none of float32, bfloat16'),
    ],
)
def test_another_value_is_an_error_with_the_choices_and_the_nearest(value, end):
    with pytest.raises(ValueError, match=r'^dtype ') as error:
        choices.check('dtype', value, iter(('float32', 'bfloat16')))
    assert str(error.value).endswith(end)
