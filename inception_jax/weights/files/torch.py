"""Files of PyTorch (.pth, .pt), read by PyTorch if it is installed."""

import argparse
import contextlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inception_jax.weights.files.errors import NotWeights, open_archive
from inception_jax.weights.files.lazy_array import LazyArray

# The first bytes of files that PyTorch before 1.6 wrote: a pickled number.
OLD = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'

# In earlier versions `weights_only` could still run code (CVE-2025-32434).
SAFE = (2, 6)

# Checkpoints hold state dicts a few levels deep.
MOST_LEVELS = 4


@contextlib.contextmanager
def open_pytorch(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a state dict, or of a checkpoint with several.

    The names of nested dicts are joined by dots; see `open_arrays`. PyTorch loads with
    `weights_only`, which runs no code in the file.
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
        # timm's checkpoints hold the options of their training.
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:
        raise NotWeights(_refusal(error)) from error
    pairs = list(_tensors(torch, state))
    arrays = {name: _lazy(x) for name, x in pairs}
    if not arrays:
        raise NotWeights('holds no state dict; expected arrays by name')
    if len(arrays) < len(pairs):
        raise NotWeights('holds two arrays of the same name')
    yield arrays


def _refusal(error: Exception) -> str:
    """Returns why PyTorch refuses a file; its own message is several lines long."""
    kind = re.search(r'GLOBAL ([\w.]+)', str(error))
    if kind is None:
        return f'is damaged, or holds more than arrays by name ({type(error).__name__})'
    return (
        f'holds more than arrays by name, a {kind[1]}, whose loading could run code; '
        'if you trust the file, save its state dict alone: torch.save(torch.load(FILE, '
        "weights_only=False)['state_dict'], 'weights.pth')"
    )


def _tensors(torch, state: Any, path: tuple[str, ...] = ()) -> Iterator[tuple]:
    """Yields the names and arrays of nested dicts; other values are left out."""
    if _is_array(torch, state) and path:
        yield '.'.join(path), state
    elif isinstance(state, Mapping) and len(path) < MOST_LEVELS:
        for name, value in state.items():
            if isinstance(name, str):
                yield from _tensors(torch, value, (*path, name))


def _is_array(torch, x) -> bool:
    return isinstance(x, torch.Tensor) and x.layout is torch.strided


def _lazy(tensor) -> LazyArray:
    dtype = str(tensor.dtype).removeprefix('torch.')
    return LazyArray(
        tuple(tensor.shape), dtype, lambda: tensor.detach().double().numpy()
    )
