"""Files of PyTorch (.pth, .pt), read by PyTorch where it is installed."""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from inception_jax.weights.files.faults import NotWeights, archive, check_growth
from inception_jax.weights.stored import Stored

# What files of before PyTorch 1.6 begin with: a pickled number of theirs.
OLD = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'


@contextlib.contextmanager
def opened(path: Path) -> Iterator[dict[str, Stored]]:
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
    if zipfile.is_zipfile(path):
        with archive(path) as packed:
            check_growth(packed)
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
        or not all(isinstance(x, torch.Tensor) for x in found.values())
    ):
        raise NotWeights('holds no state dict; expected arrays by name')
    yield {name: _stored(x) for name, x in found.items()}


def _stored(tensor) -> Stored:
    dtype = str(tensor.dtype).removeprefix('torch.')
    return Stored(tuple(tensor.shape), dtype, lambda: tensor.detach().double().numpy())
