"""Files of PyTorch (.pth, .pt), read by PyTorch if it is installed."""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from inception_jax.weights.files.errors import NotWeights, open_archive
from inception_jax.weights.files.lazy_array import LazyArray

# The first bytes of files that PyTorch before 1.6 wrote: a pickled number.
OLD = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'

# In earlier versions `weights_only` could still run code (CVE-2025-32434).
SAFE = (2, 6)


@contextlib.contextmanager
def open_pytorch(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a state dict; see `open_arrays`.

    PyTorch loads with `weights_only`, which runs no code in the file.
    """
    try:
        import torch
    except ImportError as error:
        raise NotWeights(
            'is a file of PyTorch, which is not installed: pip install torch, or save '
            'it as .safetensors where PyTorch is installed'
        ) from error
    if tuple(map(int, torch.__version__.split('.')[:2])) < SAFE:
        raise NotWeights(
            f'would be read by PyTorch {torch.__version__}, which may run code in it; '
            'install 2.6 or newer'
        )
    if zipfile.is_zipfile(path):
        with open_archive(path):
            pass
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise NotWeights(
            f'is damaged, or holds more than arrays by name ({first})'
        ) from error
    if isinstance(state, Mapping):
        state = state.get('state_dict', state)
    if (
        not state
        or not isinstance(state, Mapping)
        or not all(isinstance(name, str) for name in state)
        or not all(_is_array(torch, x) for x in state.values())
    ):
        raise NotWeights('holds no state dict; expected arrays by name')
    yield {name: _lazy(x) for name, x in state.items()}


def _is_array(torch, x) -> bool:
    return isinstance(x, torch.Tensor) and x.layout is torch.strided


def _lazy(tensor) -> LazyArray:
    dtype = str(tensor.dtype).removeprefix('torch.')
    return LazyArray(
        tuple(tensor.shape), dtype, lambda: tensor.detach().double().numpy()
    )
