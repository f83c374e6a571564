"""How a network is computed: as it is written, or as fast as its platform allows.

Both compute the same function of the same variables.
"""

from typing import NamedTuple


class Execution(NamedTuple):
    """The levers of fast execution; each is a choice for a platform, measured there
    (docs/speed.md) or stated as a guess in `FAST`.

    `siblings`: 1x1 convolutions on one input are one, batch norm included.
    `pool_last`: an average is taken behind the 1x1 that follows it, which is narrower.
    `products`: a 1x1 is a matrix product.
    `slices`: a pool and its derivative are elementwise loops over slices of a grid; for
    the derivative of a maximum XLA sorts out indices, and its means are one by one.
    `kept`: a residual sum is computed once; XLA's loops would compute it, and all sums
    before it, again in each of its users.
    `folded`: batch norm with stored statistics is part of the kernel.
    `tiles`: narrow grids of a stem stand in tiles of 2x2 points (space-to-depth).
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
    # Not measured: what GPUs are known for. cuDNN has 1x1 kernels of its own and adds
    # bias and ReLU where batch norm is folded.
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
    "expected fast, plain, or fast less some levers as in 'fast-siblings-pool_last'; "
    f'the levers are {", ".join(Execution._fields)}'
)


def execution(name: str, platform: str | None = None) -> Execution | None:
    """Returns the levers of a platform, None for plain execution.

    Args:
      name: fast, plain, or fast less some levers: `fast-siblings-pool_last`.
      platform: cpu, gpu or tpu; None means the one that JAX runs on.

    Raises:
      ValueError: it is none of these.
    """
    import jax  # Not above: a command checks a name before it starts JAX.

    check_execution(name)
    if name == 'plain':
        return None
    whole = FAST.get(platform or jax.default_backend(), FAST['gpu'])
    return whole._replace(**dict.fromkeys(name.split('-')[1:], False))


def check_execution(name: str) -> None:
    """Raises ValueError unless it names an execution."""
    kind, *less = name.split('-')
    known = kind == 'fast' or name == 'plain'
    if not known or not set(less) <= set(Execution._fields):
        raise ValueError(f'execution is {name!r}; {EXPECTED}')
