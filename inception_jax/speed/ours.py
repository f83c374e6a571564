"""The process that measures our own network, asked by `sides`.

Command   python -m inception_jax.speed.ours, and requests on its stdin
"""

import time
from typing import Any

import jax

from inception_jax.networks.catalogue import choose
from inception_jax.parallel.mesh import (
    all_devices,
    check_batch_size,
    device_mesh,
    keep_pace,
)
from inception_jax.runtime import memory
from inception_jax.speed.matmul import matmul_rate
from inception_jax.speed.peers.serving import Mistake, peak_resident_bytes, serve
from inception_jax.speed.work import batch_of, recipe_of, work_of

MEMORY = ('argument', 'output', 'temp', 'alias', 'generated_code')


class Ours:
    """The compiled function, its batch and its state, which each step replaces."""

    def hello(self, batch_size: int, devices: int | None) -> dict:
        """Tells the devices; of many takes so many, None for all."""
        try:
            self.mesh = device_mesh(devices=all_devices()[:devices])
            check_batch_size(batch_size, self.mesh)
        except ValueError as error:
            raise Mistake(str(error)) from error
        first = self.mesh.devices.flat[0]
        version = memory.jemalloc_version()
        return {
            'platform': first.platform,
            'kind': first.device_kind,
            'devices': self.mesh.size,
            'versions': {
                'jax': jax.__version__,
                'jaxlib': jax.lib.__version__,
            }
            | ({'jemalloc': version} if version else {}),
        }

    def build(
        self,
        part: str,
        network: dict[str, Any],
        batch_size: int,
        recipe: dict[str, Any],
    ) -> dict:
        """Compiles, and makes the first step."""
        chosen = choose(**network)
        self.dtype = recipe['dtype']
        begun = time.perf_counter()
        work = work_of(part, chosen, recipe_of(**recipe), self.mesh)
        self.batch = batch_of(chosen, batch_size, self.mesh)
        self.state, self.after = work.state, work.after
        jax.block_until_ready((self.state, self.batch))
        prepared = time.perf_counter()
        lowered = work.function.lower(self.state, self.batch)
        traced = time.perf_counter()
        with memory.trimmed_memory():  # As in training.
            self.function = lowered.compile()
        compiled = time.perf_counter()
        self.steps(count=1, before=0)
        return {
            'prepare_seconds': prepared - begun,
            'trace_seconds': traced - prepared,
            'compile_seconds': compiled - traced,
            'first_step_seconds': time.perf_counter() - compiled,
            'compiler_memory': self._compiler_memory(),
        }

    def steps(self, count: int, before: int) -> dict:
        """Tells the seconds of so many steps, and makes as many `before` as asked."""
        self._make(before)
        begun = time.perf_counter()
        self._make(count)
        return {'seconds': time.perf_counter() - begun}

    def _make(self, count: int) -> None:
        results = []
        for _ in range(count):
            result = self.function(self.state, self.batch)
            self.state = self.after(self.state, result)
            # A state is donated to the next step, so it cannot be waited for.
            results = [*results[-2:], jax.tree.leaves(result)[-1]]
            keep_pace(results)
        jax.block_until_ready((self.state, results))

    def memory(self) -> dict:
        """Tells the peak of the device, and of the process where they are the same."""
        stats = self.mesh.devices.flat[0].memory_stats() or {}
        if (peak := stats.get('peak_bytes_in_use')) is not None:
            return {'peak_bytes': peak, 'peak_of': 'a device'}
        return {'peak_bytes': peak_resident_bytes(), 'peak_of': 'the process'}

    def matmul(self, seconds: float) -> dict:
        """Tells FLOP per second of a large product of matrices on all devices."""
        # Several devices that are one processor share its cores.
        alone = self.mesh.devices.flat[0].platform == 'cpu'
        rate = matmul_rate(self.dtype, seconds)
        return {'flops_per_second': rate if alone else rate * self.mesh.size}

    def _compiler_memory(self) -> dict[str, int] | None:
        """Returns bytes on a device, as the compiler has planned them."""
        found = self.function.memory_analysis()
        if found is None:
            return None
        return {name: getattr(found, f'{name}_size_in_bytes') for name in MEMORY}


def main() -> int:
    memory.compute_where_called()
    ours = Ours()
    names = ('hello', 'build', 'steps', 'memory', 'matmul')
    return serve({name: getattr(ours, name) for name in names})


if __name__ == '__main__':
    raise SystemExit(main())
