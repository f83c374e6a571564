"""The process that measures a network of keras.applications on the JAX backend.

Command   python benchmarks/peers/keras_peer.py, requests on stdin (speed/serving.py)
Needs     pip install keras jax; the command `benchmark --against keras` starts it

Steps are written as in Keras's guide "Writing a training loop from scratch in JAX":
stateless calls in one jitted function that takes the buffers of its state. That is
faster than `train_on_batch`, which waits for every loss. The train step has
cross-entropy with smoothed labels and RMSProp with momentum. Unlike ours it has no
weight decay, clipping or EMA weights.
"""

import os
import sys
import time
from pathlib import Path

os.environ['KERAS_BACKEND'] = 'jax'
os.environ.pop('XLA_FLAGS', None)  # Our process's flags; this JAX may not know them.

import jax
import keras
import numpy as np

# The clone: of the package only speed/serving.py is used, which needs no JAX.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from inception_jax.speed.serving import Mistake, peak_memory, serve, time_steps

FLOAT32, BFLOAT16 = 'float32', 'mixed_bfloat16'


class Peer:
    """A network, its jitted function, its variables, and one batch."""

    def hello(self, platform: str, network: str) -> dict:
        """Checks the device and the name of the network; reports versions."""
        own_platform = jax.devices()[0].platform
        if own_platform != platform:
            raise Mistake(
                f'our device is a {platform}, and the JAX below Keras has a '
                f'{own_platform}; install JAX for a {platform} there, or set '
                f'JAX_PLATFORMS={own_platform}'
            )
        if not hasattr(keras.applications, network):
            raise Mistake(f'keras {keras.__version__} has no network {network}')
        return {'versions': {'keras': keras.__version__, 'jax': jax.__version__}}

    def build(
        self,
        part: str,
        network: str,
        setting: str,
        auxiliary: bool,
        classes: int,
        batch_size: int,
        input_size: int,
        dtype: str,
        platform: str,
    ) -> dict:
        """Builds and compiles the network and runs its first step."""
        start = time.perf_counter()
        keras.mixed_precision.set_global_policy(
            FLOAT32 if dtype == 'float32' else BFLOAT16
        )
        self.model = getattr(keras.applications, network)(
            weights=None,
            classes=classes,
            input_shape=(input_size, input_size, 3),
            classifier_activation=None,
        )
        self._make_batch(batch_size, input_size, classes)
        function = self._train() if part == 'train' else self._forward()
        jax.block_until_ready((self.state, self.batch))
        prepared = time.perf_counter()
        lowered = function.lower(self.state, self.batch)
        traced = time.perf_counter()
        self.function = lowered.compile()
        compiled = time.perf_counter()
        self._run(1)
        return {
            'prepare_seconds': prepared - start,
            'trace_seconds': traced - prepared,
            'compile_seconds': compiled - traced,
            'first_step_seconds': time.perf_counter() - compiled,
        }

    def _make_batch(self, batch_size: int, input_size: int, classes: int) -> None:
        generator = np.random.default_rng(0)
        shape = (batch_size, input_size, input_size, 3)
        images = generator.integers(256, size=shape, dtype=np.uint8)
        labels = generator.integers(classes, size=batch_size, dtype=np.int32)
        self.batch = jax.device_put((images, np.eye(classes, dtype=np.float32)[labels]))

    def _variables(self) -> tuple[list, list]:
        model = self.model
        return (
            [variable.value for variable in model.trainable_variables],
            [variable.value for variable in model.non_trainable_variables],
        )

    def _forward(self):
        def forward(state, batch):
            logits, _ = self.model.stateless_call(*state, _scaled(batch[0]))
            return state, logits

        self.state = self._variables()
        return jax.jit(forward, donate_argnums=0)

    def _train(self):
        model = self.model
        optimizer = keras.optimizers.RMSprop(0.045, rho=0.9, momentum=0.9, epsilon=1.0)
        optimizer.build(model.trainable_variables)
        loss_of = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=0.1
        )

        def loss(trained, others, batch):
            logits, others = model.stateless_call(
                trained, others, _scaled(batch[0]), training=True
            )
            return loss_of(batch[1], logits), others

        def train(state, batch):
            trained, others, moments = state
            (value, others), gradients = jax.value_and_grad(loss, has_aux=True)(
                trained, others, batch
            )
            trained, moments = optimizer.stateless_apply(moments, gradients, trained)
            return (trained, others, moments), value

        moments = [variable.value for variable in optimizer.variables]
        self.state = (*self._variables(), moments)
        return jax.jit(train, donate_argnums=0)

    def steps(self, count: int, before: int) -> dict:
        """Reports the seconds of `count` steps, after `before` untimed steps."""
        return time_steps(self._run, count, before)

    def _run(self, count: int) -> None:
        results = []
        for _ in range(count):
            self.state, result = self.function(self.state, self.batch)
            # At most two steps are queued, as with ours on accelerators.
            results = [*results[-2:], result]
            if len(results) > 2:
                jax.block_until_ready(results[0])
        jax.block_until_ready((self.state, results))

    def memory(self) -> dict:
        """Reports the peak bytes of the device, or of the process on a CPU."""
        stats = jax.devices()[0].memory_stats() or {}
        return peak_memory(stats.get('peak_bytes_in_use'))


def _scaled(images):
    return images.astype('float32') / 127.5 - 1.0


def main() -> int:
    peer = Peer()
    names = ('hello', 'build', 'steps', 'memory')
    return serve({name: getattr(peer, name) for name in names})


if __name__ == '__main__':
    raise SystemExit(main())
