"""The random keys of a step: functions of the run's key, the step and the example."""

import jax

# The uses of an example's randomness in a step.
AUGMENTATION, DROPOUT = 0, 1


def example_keys(key: jax.Array, step: jax.Array, examples: jax.Array) -> jax.Array:
    """Returns a key per example, [batch]; it depends only on the arguments.

    All randomness of a step is derived from these keys. So it does not depend on how a
    batch is split over devices or micro-batches.

    Args:
      key: the key of the run.
      step: the number of updates made, a scalar.
      examples: the numbers of the examples in their source, uint32 [batch].
    """
    step_key = jax.random.fold_in(key, step)
    return jax.vmap(lambda example: jax.random.fold_in(step_key, example))(examples)


def keys_for(
    purpose: int, key: jax.Array, step: jax.Array, examples: jax.Array
) -> jax.Array:
    """Returns the example keys for AUGMENTATION or DROPOUT, [batch]."""
    keys = example_keys(key, step, examples)
    return jax.vmap(lambda example_key: jax.random.fold_in(example_key, purpose))(keys)
