"""The trained network that a user names: a value, a run, or a path that is opened."""

import os
from typing import Any

from inception_jax.weights.trained import Trained, check_trained

# A trained network, or a run or a path that stands for one.
AnyTrained = Trained | str | os.PathLike[str]


def opened(trained: Any) -> Trained:
    """Returns a trained network; a run or a path is opened as by `trained`.

    Raises:
      ValueError: the path holds no trained network.
      TypeError: the value is something else.
    """
    if isinstance(trained, str | os.PathLike):
        # `TrainedNetwork` has the functions as methods that call this function.
        from inception_jax.evaluation import trained as opening

        return opening.trained(trained)
    check_trained(trained)
    return trained
