"""The process that measures our own network; `comparison` starts it.

Command   python -m inception_jax.speed.ours, with requests on stdin (serving.py)
"""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.networks.catalogue import choose
from inception_jax.parallel.mesh import (
    all_devices,
    check_batch_size,
    device_mesh,
    keep_pace,
)
from inception_jax.runtime import memory
from inception_jax.runtime.compiler_options import compiler_options
from inception_jax.speed.serving import Mistake, peak_memory, serve, time_steps
from inception_jax.speed.workload import imagenet_recipe, random_batch, workload

MEMORY = ('argument', 'output', 'temp', 'alias', 'generated_code')

# Rows and columns of the product of matrices that serves as the reference rate. A CPU
# takes 0.1 s for its 17 GFLOP, an accelerator a millisecond for its 1.1 TFLOP.
MATRIX_SIZE = {'cpu': 2048}
MATRIX_SIZE_OF_ACCELERATORS = 8192


class Ours:
    """The compiled function, its batch, and its state, which each step replaces."""

    def hello(self, batch_size: int, devices: int | None) -> dict:
        """Reports the devices and versions; uses the first `devices`, all for None."""
        try:
            self.mesh = device_mesh(devices=all_devices()[:devices])
            check_batch_size(batch_size, self.mesh)
        except ValueError as error:
            raise Mistake(str(error)) from error
        device = self.mesh.devices.flat[0]
        versions = {'jax': jax.__version__, 'jaxlib': jax.lib.__version__}
        if version := memory.jemalloc_version():
            versions['jemalloc'] = version
        return {
            'platform': device.platform,
            'kind': device.device_kind,
            'devices': self.mesh.size,
            'versions': versions,
        }

    def build(
        self,
        part: str,
        network: dict[str, Any],
        batch_size: int,
        recipe: dict[str, Any],
    ) -> dict:
        """Compiles the function and runs its first step; reports seconds and bytes.

        `network` are the arguments of `choose`, `recipe` those of `imagenet_recipe`.
        """
        value = choose(**network)
        self.dtype = recipe['dtype']
        start = time.perf_counter()
        load = workload(part, value, imagenet_recipe(**recipe), self.mesh)
        self.batch = random_batch(value, batch_size, self.mesh)
        self.state, self.next_state = load.state, load.next_state
        jax.block_until_ready((self.state, self.batch))
        prepared = time.perf_counter()
        lowered = load.function.lower(self.state, self.batch)
        traced = time.perf_counter()
        with memory.trimmed_memory():  # As in training.
            self.function = lowered.compile()
        compiled = time.perf_counter()
        self._run(1)
        return {
            'prepare_seconds': prepared - start,
            'trace_seconds': traced - prepared,
            'compile_seconds': compiled - traced,
            'first_step_seconds': time.perf_counter() - compiled,
            'compiler_memory': self._compiler_memory(),
        }

    def steps(self, count: int, before: int) -> dict:
        """Reports the seconds of `count` steps, after `before` untimed steps."""
        return time_steps(self._run, count, before)

    def _run(self, count: int) -> None:
        results = []
        for _ in range(count):
            result = self.function(self.state, self.batch)
            self.state = self.next_state(self.state, result)
            # A state is donated to the next step, so it cannot be waited for.
            results = [*results[-2:], jax.tree.leaves(result)[-1]]
            keep_pace(results)
        jax.block_until_ready((self.state, results))

    def memory(self) -> dict:
        """Reports the peak memory in bytes of a device, or of the process on a CPU."""
        stats = self.mesh.devices.flat[0].memory_stats() or {}
        return peak_memory(stats.get('peak_bytes_in_use'))

    def matmul(self, seconds: float) -> dict:
        """Reports FLOP per second of a large product of matrices on all devices."""
        # Several CPU devices share the cores of one processor.
        shared = self.mesh.devices.flat[0].platform == 'cpu'
        rate = matmul_rate(self.dtype, seconds)
        return {'flops_per_second': rate if shared else rate * self.mesh.size}

    def _compiler_memory(self) -> dict[str, int] | None:
        """Returns the bytes on a device that the compiler has planned, by purpose."""
        analysis = self.function.memory_analysis()
        if analysis is None:
            return None
        return {name: getattr(analysis, f'{name}_size_in_bytes') for name in MEMORY}


def matmul_rate(dtype: str, seconds: float) -> float:
    """Returns FLOP per second of one device, at JAX's default precision.

    Products are repeated for at least `seconds`.
    """
    size = MATRIX_SIZE.get(jax.default_backend(), MATRIX_SIZE_OF_ACCELERATORS)
    x, product = _product(size, dtype)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(4):
            result = product(x)
            count += 1
        result.block_until_ready()
    return 2 * size**3 * count / (time.perf_counter() - start)


@functools.cache
def _product(size: int, dtype: str):
    x = jnp.full((size, size), 1 / size, jnp.dtype(dtype))
    options = compiler_options(jax.default_backend())
    product = jax.jit(lambda x: x @ x, compiler_options=options)
    product(x).block_until_ready()
    return x, product


def main() -> int:
    memory.compute_where_called()
    ours = Ours()
    names = ('hello', 'build', 'steps', 'memory', 'matmul')
    return serve({name: getattr(ours, name) for name in names})


if __name__ == '__main__':
    raise SystemExit(main())
