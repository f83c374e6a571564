"""Compiler options of XLA that make these networks faster, set for each program.

A program gets the options wherever it is compiled: in a command, a notebook or a test.
Other programs of the process do not change. The environment variable XLA_FLAGS
overrides an option:
`XLA_FLAGS=--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_DEFAULT` sets XLA's default order
of operations.
"""

import functools
import os

import jax

# No options for GPUs and TPUs. `xla_gpu_enable_latency_hiding_scheduler` hides messages
# between devices, does nothing on one device, and has taken five times the memory
# (github.com/jax-ml/jax/issues/20763). The options recommended for TPUs concern
# messages of sharded parameters (openxla.org/xla/flags_guidance). Neither was measured.
OPTIONS = {
    'cpu': {
        # Matrix products and sums by the library YNNPACK instead of Eigen and XLA's
        # loops: both made train steps faster on two cores (docs/speed.md). YNNPACK's
        # convolutions (INDIVIDUAL_CONVOLUTION) and elementwise loops made them slower.
        'xla_cpu_experimental_ynn_fusion_type': (
            'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE'
        ),
        # The order of operations that takes the least memory. XLA's default order runs
        # many small operations at once, but each operation of a step fills two cores.
        'xla_cpu_scheduler_type': 'CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED',
    }
}


def compiler_options(platform: str) -> dict[str, str]:
    """Returns the options for `jax.jit(compiler_options=...)` on a platform.

    Leaves out an option that XLA_FLAGS names or that the installed XLA does not know.
    """
    flags = os.environ.get('XLA_FLAGS', '').split()
    if flags and not flags[0].startswith('-'):
        return {}  # XLA_FLAGS names a file; the options in it are unknown.
    named = {flag.partition('=')[0].lstrip('-') for flag in flags}
    return {
        name: value
        for name, value in OPTIONS.get(platform, {}).items()
        if name not in named and _is_known(platform, name, value)
    }


@functools.cache
def _is_known(platform: str, name: str, value: str) -> bool:
    """Whether XLA compiles an empty program with an option."""
    with jax.default_device(jax.local_devices(backend=platform)[0]):
        empty = jax.jit(lambda: None, compiler_options={name: value})
        try:
            empty.lower().compile()
        except jax.errors.JaxRuntimeError:
            return False
    return True
