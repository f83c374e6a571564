"""The process that measures a network of timm, in PyTorch; needs torch and timm.

Command   python timm_peer.py, and requests on its stdin (serving.py)

Images are uint8 on the device, as ours are, and are scaled there. The train step has
cross-entropy with smoothed labels and RMSProp with momentum and weight decay; neither
clipping nor averages of parameters, which ours has.
"""

import contextlib
import time

import timm
import torch
from serving import Mistake, peak_resident_bytes, serve
from torch.nn import functional

AUXILIARY_WEIGHT = 0.4


class Peer:
    """A network in one of its settings, and one batch."""

    def hello(self, platform: str, network: str) -> dict:
        """Looks whether a network of this name can run on the device that we have."""
        cuda = torch.cuda.is_available()
        if platform != 'cpu' and not (platform == 'gpu' and cuda):
            raise Mistake(
                f'our device is a {platform}, and torch {torch.__version__} has none; '
                'install one that has, or set JAX_PLATFORMS=cpu'
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
        """Makes the network, and the first step, which compiles where that is asked."""
        begun = time.perf_counter()
        self.device = torch.device('cuda' if platform == 'gpu' else 'cpu')
        self.dtype = getattr(torch, dtype)
        _as_jax_does()
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
        made = time.perf_counter()
        self.steps(count=1, before=0)
        return {
            'prepare_seconds': made - begun,
            'first_step_seconds': time.perf_counter() - made,
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
        """Tells the seconds of so many steps, and makes as many `before` as asked."""
        for _ in range(before):
            self.step()
        self._wait()
        begun = time.perf_counter()
        for _ in range(count):
            self.step()
        self._wait()
        return {'seconds': time.perf_counter() - begun}

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def memory(self) -> dict:
        """Tells the peak of the device, and of the process where they are the same."""
        if self.device.type == 'cuda':
            peak = torch.cuda.max_memory_allocated()
            return {'peak_bytes': peak, 'peak_of': 'a device'}
        return {'peak_bytes': peak_resident_bytes(), 'peak_of': 'the process'}


def _as_jax_does() -> None:
    """Lets float32 be multiplied as TensorFloat-32 on NVIDIA's, which is JAX's default,
    and lets cuDNN look for the fastest convolution, as XLA does.
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
