"""Plain and fast execution of a network, and the optimizations of fast execution.

Both compute the same function of the same variables, up to rounding.
"""

from typing import NamedTuple


class Execution(NamedTuple):
    """The optimizations of fast execution, called levers.

    `FAST` holds the choice for each platform. A choice is measured (docs/speed.md)
    unless a comment says that it is not.

    Attributes:
      siblings: computes 1x1 convolutions on the same input, and their batch norm, as
        one convolution.
      pool_last: computes an average pool after the 1x1 convolution that follows the
        pool, if the pool then has fewer channels.
      products: computes a 1x1 convolution as a matrix product.
      slices: computes a pool and its derivative as elementwise loops over slices of the
        feature map. On CPUs this is faster than XLA's own pools and their derivatives.
      kept: computes a residual sum once. XLA would recompute it, and all sums before
        it, in each loop that reads it.
      folded: multiplies batch norm with stored statistics into the kernel.
      tiles: stores the narrow feature maps of a stem in tiles of 2x2 points
        (space-to-depth).
    """

    siblings: bool
    pool_last: bool
    products: bool
    slices: bool
    kept: bool
    folded: bool
    tiles: bool


FAST = {
    'cpu': Execution(
        siblings=True,
        pool_last=True,
        products=True,
        slices=True,
        kept=True,
        folded=False,
        tiles=False,
    ),
    # Not measured. cuDNN has separate kernels for 1x1, and fuses bias and ReLU into a
    # convolution where batch norm is folded.
    'gpu': Execution(
        siblings=True,
        pool_last=True,
        products=False,
        slices=True,
        kept=False,
        folded=True,
        tiles=False,
    ),
    'tpu': Execution(
        siblings=True,
        pool_last=True,
        products=False,
        slices=False,
        kept=False,
        folded=True,
        tiles=True,
    ),
}

EXPECTED = (
    'expected fast, plain, or fast without some levers, e.g. fast-siblings-pool_last; '
    f'the levers are {", ".join(Execution._fields)}'
)


def execution(name: str, platform: str | None = None) -> Execution | None:
    """Returns the levers of a platform, None for plain execution.

    Args:
      name: fast, plain, or fast without some levers: `fast-siblings-pool_last`.
      platform: cpu, gpu or tpu; None means the platform that JAX runs on.

    Raises:
      ValueError: `name` is not one of these names.

    >>> execution('fast-products', 'cpu').products, execution('plain')
    (False, None)
    """
    import jax  # Imported late: a command checks the name before it starts JAX.

    check_execution(name)
    if name == 'plain':
        return None
    levers = FAST.get(platform or jax.default_backend(), FAST['gpu'])
    return levers._replace(**dict.fromkeys(name.split('-')[1:], False))


def check_execution(name: str) -> None:
    """Raises ValueError unless `name` is fast, plain, or fast without some levers."""
    kind, *without = name.split('-')
    known = kind == 'fast' or name == 'plain'
    if not known or not set(without) <= set(Execution._fields):
        raise ValueError(f'execution is {name!r}; {EXPECTED}')
