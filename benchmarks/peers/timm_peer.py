"""The process that measures a network of timm in PyTorch.

Command   python benchmarks/peers/timm_peer.py, requests on stdin (speed/serving.py)
Needs     pip install torch timm; the command `benchmark --against timm` starts it

Images are uint8 on the device, like ours, and are scaled there. The train step has
cross-entropy with smoothed labels and RMSProp with momentum and weight decay. Unlike
ours it has no clipping and no EMA weights.
"""

import contextlib
import sys
import time
from pathlib import Path

import timm
import torch
from torch.nn import functional

# The clone: of the package only speed/serving.py is used, which needs no JAX.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from inception_jax.speed.serving import Mistake, peak_memory, serve, time_steps

AUXILIARY_WEIGHT = 0.4


class Peer:
    """A network in one setting, and one batch."""

    def hello(self, platform: str, network: str) -> dict:
        """Checks the device and the name of the network; reports versions."""
        cuda = torch.cuda.is_available()
        if platform != 'cpu' and not (platform == 'gpu' and cuda):
            raise Mistake(
                f'our device is a {platform}, which torch {torch.__version__} does '
                'not find; install a torch for it, or set JAX_PLATFORMS=cpu'
            )
        if network not in timm.list_models():
            raise Mistake(f'timm {timm.__version__} has no network {network}')
        return {'versions': {'torch': torch.__version__, 'timm': timm.__version__}}

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
        """Builds the network and runs its first step, which may compile."""
        start = time.perf_counter()
        self.device = torch.device('cuda' if platform == 'gpu' else 'cpu')
        self.dtype = getattr(torch, dtype)
        _match_precision_of_jax()
        options = {'aux_logits': True} if auxiliary else {}
        model = timm.create_model(network, num_classes=classes, **options)
        self.layout = (
            torch.channels_last if 'last' in setting else torch.contiguous_format
        )
        self.model = model.to(self.device, memory_format=self.layout)
        self.model.train(part == 'train')
        self.run = torch.compile(self.model) if 'compiled' in setting else self.model
        self._make_batch(batch_size, input_size, classes)
        if part == 'train':
            self._make_optimizer()
        self.step = self._train if part == 'train' else self._forward
        prepared = time.perf_counter()
        self._run(1)
        return {
            'prepare_seconds': prepared - start,
            'first_step_seconds': time.perf_counter() - prepared,
        }

    def _make_batch(self, batch_size: int, input_size: int, classes: int) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (batch_size, 3, input_size, input_size)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        self.images = images.to(self.device, memory_format=self.layout)
        labels = torch.randint(classes, (batch_size,), generator=generator)
        self.labels = labels.to(self.device)

    def _make_optimizer(self) -> None:
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(),
            lr=0.045,
            alpha=0.9,
            eps=1.0,
            momentum=0.9,
            weight_decay=4e-5,
            foreach=True,
        )

    def _scaled(self) -> torch.Tensor:
        return self.images.float() / 127.5 - 1.0

    def _precision(self):
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def _forward(self) -> None:
        with torch.inference_mode(), self._precision():
            self.run(self._scaled())

    def _train(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            outputs = self.run(self._scaled())
            heads = outputs if isinstance(outputs, tuple) else (outputs,)
            loss = sum(
                weight
                * functional.cross_entropy(
                    logits.float(), self.labels, label_smoothing=0.1
                )
                for weight, logits in zip((1.0, AUXILIARY_WEIGHT), heads, strict=False)
            )
        loss.backward()
        self.optimizer.step()

    def steps(self, count: int, before: int) -> dict:
        """Reports the seconds of `count` steps, after `before` untimed steps."""
        return time_steps(self._run, count, before)

    def _run(self, count: int) -> None:
        for _ in range(count):
            self.step()
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def memory(self) -> dict:
        """Reports the peak bytes of the device, or of the process on a CPU."""
        gpu = self.device.type == 'cuda'
        return peak_memory(torch.cuda.max_memory_allocated() if gpu else None)


def _match_precision_of_jax() -> None:
    """Allows TensorFloat-32 on NVIDIA GPUs, which is JAX's default precision.

    cuDNN also searches for the fastest convolution, as XLA does.
    """
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True


def main() -> int:
    peer = Peer()
    names = ('hello', 'build', 'steps', 'memory')
    return serve({name: getattr(peer, name) for name in names})


if __name__ == '__main__':
    raise SystemExit(main())
