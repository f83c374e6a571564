"""The settings of JAX that change the numbers a program computes."""

from typing import Any

import jax

# The value under which the package is tested, by setting. Settings of random numbers
# are not included: `runtime.random_numbers` makes the package independent of such
# settings. Strict promotion of dtypes and ranks raises errors and changes no number.
DEFAULTS = {
    'jax_default_matmul_precision': None,
    'jax_enable_x64': False,
    'jax_disable_jit': False,
    'jax_optimization_level': 'UNKNOWN',
    'jax_exec_time_optimization_effort': 0.0,
}


def numeric_settings() -> dict[str, Any]:
    """Returns the settings in force that differ from the defaults, as JSON values.

    A bit-exact resume needs the same settings. Runs without a record of settings had
    the defaults.

    >>> with jax.default_matmul_precision('highest'):
    ...     numeric_settings()
    {'jax_default_matmul_precision': 'highest'}
    """
    values = {name: getattr(jax.config, name, DEFAULTS[name]) for name in DEFAULTS}
    return {name: x for name, x in values.items() if x != DEFAULTS[name]}
