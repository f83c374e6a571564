"""Files of PyTorch (.pth, .pt), read by PyTorch where it is installed."""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from inception_jax.weights.files.errors import NotWeights, archive
from inception_jax.weights.files.lazy_array import LazyArray

# What files of before PyTorch 1.6 begin with: a pickled number of theirs.
OLD = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'

# Before, what read weights alone could be led to run code (CVE-2025-32434).
SAFE = (2, 6)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a state dict; see `files.opened`.

    PyTorch's own reader of weights runs nothing that stands in the file.
    """
    try:
        import torch
    except ImportError as error:
        raise NotWeights(
            'is a file of PyTorch, which is not installed: pip install torch, or save '
            'it as .safetensors where it is'
        ) from error
    if tuple(map(int, torch.__version__.split('.')[:2])) < SAFE:
        raise NotWeights(
            f'would be read by PyTorch {torch.__version__}, which may run what is in '
            'it; install 2.6 or newer'
        )
    if zipfile.is_zipfile(path):
        with archive(path):
            pass
    try:
        found = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise NotWeights(
            f'is damaged, or holds more than arrays by name ({first})'
        ) from error
    if isinstance(found, Mapping):
        found = found.get('state_dict', found)
    if (
        not found
        or not isinstance(found, Mapping)
        or not all(isinstance(name, str) for name in found)
        or not all(_is_array(torch, x) for x in found.values())
    ):
        raise NotWeights('holds no state dict; expected arrays by name')
    yield {name: _stored(x) for name, x in found.items()}


def _is_array(torch, x) -> bool:
    return isinstance(x, torch.Tensor) and x.layout is torch.strided


def _stored(tensor) -> LazyArray:
    dtype = str(tensor.dtype).removeprefix('torch.')
    return LazyArray(
        tuple(tensor.shape), dtype, lambda: tensor.detach().double().numpy()
    )
