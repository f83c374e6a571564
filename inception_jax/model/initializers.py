"""Initial variables of a network, drawn on the host without compilation.

Compiling the draws of a whole network takes longer than compiling some train steps. The
values of a variable depend only on the seed, the initializer and the variable's path,
so networks that share a layer start it with the same values.
"""

import functools
import inspect
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Conv, Dense, Module, Norm, Scale
from inception_jax.networks.shapes import Leaf, measure, scale_shape
from inception_jax.runtime import choices
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.random_numbers import pinned_draws, random_key

# The standard deviation of a standard normal truncated at two standard deviations.
TRUNCATED_STDDEV = 0.87962566103423978

# TF-Slim: `he` for v3 and v4, `glorot` for -ResNet-v2; the authors' older trainer:
# `truncated_normal` 0.1, with exceptions as `stddev` of ops (inception_model.py).
SCHEMES = ('he', 'lecun', 'glorot', 'truncated_normal')

# The initializer of the paper's networks in configs/imagenet.py.
PAPER_SCHEME = 'he'


def init(
    network: Network, seed: int = 0, *, scheme: str = PAPER_SCHEME
) -> dict[str, dict]:
    """Returns the initial variables of a network: `params` and `batch_stats`.

    They are the variables that a run with this seed and initializer starts from.

    Args:
      scheme: the initializer of the kernels: he, lecun, glorot or truncated_normal.
        The default, `he`, is the initializer of the paper's networks in
        configs/imagenet.py.

    >>> from inception_jax.networks import conv, network, one
    >>> net = network('tiny', one('stem', conv(4, 3, 2)), classes=10, input_size=8)
    >>> init(net, seed=0)['params']['logits']['dense0']['kernel'].shape
    (4, 10)
    """
    return initial_variables(network, seed=seed, scheme=scheme)


def initial_kernel(
    scheme: str,
    op: Conv | Dense,
    shape: tuple[int, ...],
    generator: np.random.Generator,
) -> np.ndarray:
    """Draws the kernel of a leaf: float32 [height, width, in, out] or [in, out].

    Raises:
      ValueError: there is no such scheme.
    """
    choices.check('initializer', scheme, (*SCHEMES, 'zeros'))
    if op.stddev == 0 or scheme == 'zeros':
        return np.zeros(shape, np.float32)
    fan_in, fan_out = math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1]
    match scheme:
        case 'he':
            return _truncated(
                generator, shape, math.sqrt(2 / fan_in) / TRUNCATED_STDDEV
            )
        case 'lecun':
            return _truncated(
                generator, shape, math.sqrt(1 / fan_in) / TRUNCATED_STDDEV
            )
        case 'glorot':
            limit = math.sqrt(6 / (fan_in + fan_out))
            return generator.uniform(-limit, limit, shape).astype(np.float32)
        case 'truncated_normal':
            return _truncated(generator, shape, op.stddev or 0.1)


def initial_variables(network: Network, *, seed: int, scheme: str) -> dict:
    """Returns `params` and `batch_stats` of a network, as `Classifier` reads them.

    Biases and means are 0, gammas and variances 1, and learned scales have the initial
    value of their op. A user-defined module is initialized by its own `init`.

    Args:
      scheme: the initializer of the kernels, as in `init`; or `zeros`, if only the
        shapes matter.

    Raises:
      ValueError: there is no such scheme, or a user-defined module has other parameters
        or collections than its op declares.
    """
    leaves = [(block.name, leaf) for block in measure(network) for leaf in block.leaves]
    kernels = _kernels(leaves, seed, scheme)
    variables = {'params': {}, 'batch_stats': {}}
    for block, leaf in leaves:
        for collection, values in _leaf(network, block, leaf, seed, kernels):
            variables[collection].setdefault(block, {})[leaf.name] = values
    return variables


def _kernels(
    leaves: Sequence[tuple[str, Leaf]], seed: int, scheme: str
) -> Iterator[np.ndarray]:
    """Draws the kernels of leaves in order, with one thread per core.

    Each kernel has its own generator, so its values do not depend on the threads.
    """

    def draw(block_and_leaf: tuple[str, Leaf]) -> np.ndarray:
        block, leaf = block_and_leaf
        shape = (*(leaf.window or ()), leaf.input[2], leaf.output[2])
        generator = np.random.default_rng([seed, _path(block, leaf)])
        return initial_kernel(scheme, leaf.op, shape, generator)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        with_kernel = [x for x in leaves if isinstance(x[1].op, Conv | Dense)]
        return pool.map(draw, with_kernel)


def _path(block: str, leaf: Leaf) -> int:
    return zlib.crc32(f'{block}/{leaf.name}'.encode())


def _leaf(
    network: Network, block: str, leaf: Leaf, seed: int, kernels: Iterator[np.ndarray]
):
    """Yields the (collection, values) of a leaf, with the next kernel."""
    if isinstance(leaf.op, Module):
        key = jax.random.fold_in(random_key(seed), _path(block, leaf))
        x = np.zeros((1, *leaf.input), np.float32)
        with pinned_draws():
            values = _compiled_init(leaf.op)(key, x)
        if others := set(values) - {'params', 'batch_stats'}:
            raise ValueError(
                f'the module {block}/{leaf.name} has {", ".join(others)}; only params '
                'and batch_stats are carried from step to step'
            )
        _check_count(block, leaf, values)
        yield from values.items()
    elif isinstance(leaf.op, Conv | Dense):
        channels, kernel = leaf.output[2], {'kernel': next(kernels)}
        if not leaf.batch_norm_channels:
            yield 'params', kernel | {'bias': _full(channels, 0)}
            return
        shift, statistics = _batch_norm(network, channels)
        yield 'params', kernel | shift
        yield 'batch_stats', statistics
    elif isinstance(leaf.op, Norm):
        shift, statistics = _batch_norm(network, leaf.output[2])
        yield 'params', shift
        yield 'batch_stats', statistics
    elif isinstance(leaf.op, Scale):
        shape = scale_shape(leaf.op, leaf.input[2])
        yield 'params', {'scale': _full(shape, leaf.op.initial)}


def _batch_norm(network: Network, channels: int) -> tuple[dict, dict]:
    """Returns the parameters and the statistics of a batch norm."""
    gamma = {'scale': _full(channels, 1)} if network.batch_norm_gamma else {}
    statistics = {'mean': _full(channels, 0), 'var': _full(channels, 1)}
    return {'bn': gamma | {'bias': _full(channels, 0)}}, {'bn': statistics}


def _check_count(block: str, leaf: Leaf, values: dict) -> None:
    count = sum(x.size for x in jax.tree.leaves(values.get('params', {})))
    if count != leaf.params:
        raise ValueError(
            f'the module {block}/{leaf.name} has {counted(count, "parameter")}, but '
            f'its params gives {leaf.params} for the input {leaf.input}; correct '
            'Module(params=)'
        )


@functools.lru_cache(maxsize=8)
def _compiled_init(op: Module):
    # Cached, so that a module in every block compiles once for each shape. Few are
    # kept, because their programs stay in memory.
    module = op.make()
    return jax.jit(functools.partial(module.init, **training(module, False)))


def training(module: Any, train: bool) -> dict[str, bool]:
    """Returns {'train': train} if a module's `__call__` has the argument, else {}."""
    takes = 'train' in inspect.signature(type(module).__call__).parameters
    return {'train': train} if takes else {}


def _full(shape: int | tuple[int, ...], value: float) -> np.ndarray:
    return np.full(shape, value, np.float32)


def _truncated(generator, shape, stddev):
    """Draws normal values, and redraws values beyond two standard deviations."""
    x = generator.standard_normal(math.prod(shape), np.float32)
    beyond = np.flatnonzero(np.abs(x) > 2)
    while beyond.size:
        x[beyond] = generator.standard_normal(beyond.size, np.float32)
        beyond = beyond[np.abs(x[beyond]) > 2]
    x *= np.float32(stddev)
    return x.reshape(shape)
