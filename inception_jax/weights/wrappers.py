"""Finds the arrays of a network in a file: behind prefixes, and its EMA weights.

A training script saves more than a network: it nests the state dict, wraps the network
in others, whose names come before its own, and keeps EMA weights beside the raw ones.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from inception_jax.weights.translation import ArrayEntry, Arrays

# What torch.compile and FSDP insert at any depth of a name.
INSERTED = re.compile(
    r'(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.'
)
# The EMA weights of an array in TF-Slim's checkpoints.
SLIM_EMA = '/ExponentialMovingAverage'


class Unwrapped(NamedTuple):
    """The arrays of a network by the names of its library.

    `weights` says which of several sets they are, None if the file holds one set.
    `left_out` are the names of arrays outside the network.
    """

    arrays: dict[str, Any]
    weights: str | None
    left_out: tuple[str, ...]


def unwrap(
    arrays: Arrays, entries: Sequence[ArrayEntry], *, raw: bool = False
) -> Unwrapped:
    """Returns the arrays of a network in a file without the prefixes of wrappers.

    As in timm, the EMA weights are used if the file has them.

    Args:
      entries: the arrays of the network in the layout of its library.
      raw: whether to use the raw weights although the file has EMA weights.

    Raises:
      ValueError: the file has the network several times, or no EMA weights to refuse.
    """
    arrays = _without_inserted(arrays)
    prefixes = _prefixes(arrays, {entry.name for entry in entries})
    averaged = [prefix for prefix in prefixes if _is_ema(prefix)]
    others = [prefix for prefix in prefixes if prefix not in averaged]
    chosen = averaged if averaged and not (raw and others) else others
    if len(chosen) > 1:
        raise ValueError(
            f'it holds the network {len(chosen)} times, as {", ".join(chosen)}; save '
            'one of them in a file of its own'
        )
    (prefix,) = chosen
    owners = {name: _owner(name, prefixes) for name in arrays}
    inside = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if owners[name] == prefix
    }
    left_out = tuple(name for name, owner in owners.items() if owner is None)
    has_slim_ema = any(name.endswith(SLIM_EMA) for name in inside)
    if raw and not (averaged and others) and not has_slim_ema:
        raise ValueError('it holds only one set of weights; leave out --raw (raw=True)')
    if has_slim_ema:
        inside = inside if raw else _with_slim_ema(inside)
        return Unwrapped(inside, _describe('', is_ema=not raw), left_out)
    weights = _describe(prefix, is_ema=not raw) if averaged else None
    return Unwrapped(inside, weights, left_out)


def _without_inserted(arrays: Arrays) -> dict[str, Any]:
    """Returns the arrays without the parts of names that compilers insert.

    Raises:
      ValueError: two names become the same.
    """
    names = [INSERTED.sub('', name) for name in arrays]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f'it holds {twice[0]} twice, also in a compiled copy')
    return dict(zip(names, arrays.values(), strict=True))


def _prefixes(names: Iterable[str], expected: set[str]) -> list[str]:
    """Returns the prefixes behind which most expected names are, '' without any."""
    counts = Counter(
        prefix
        for name in names
        for prefix in _possible(name)
        if name[len(prefix) :] in expected
    )
    most = max(counts.values(), default=0)
    if 2 * most < len(expected):
        return ['']
    return [prefix for prefix, count in counts.items() if 2 * count >= most]


def _possible(name: str) -> Iterator[str]:
    """Yields the prefixes of a name that end where a part of it ends, and ''."""
    yield ''
    for match in re.finditer('[./]', name):
        yield name[: match.end()]


def _owner(name: str, prefixes: Sequence[str]) -> str | None:
    """Returns the longest of the prefixes that a name has, None without any."""
    return max(filter(name.startswith, prefixes), key=len, default=None)


def _is_ema(prefix: str) -> bool:
    parts = re.split('[._/]', prefix)
    return any(part == 'ema' or part.startswith('averag') for part in parts)


def _with_slim_ema(arrays: Arrays) -> dict[str, Any]:
    """Returns arrays with the EMA weights in place of the raw ones that have any."""
    ema = {
        name.removesuffix(SLIM_EMA): array
        for name, array in arrays.items()
        if name.endswith(SLIM_EMA)
    }
    return {name: ema.get(name, array) for name, array in arrays.items()}


def _describe(prefix: str, *, is_ema: bool) -> str:
    place = f' ({prefix.rstrip("./")})' if prefix else ''
    return f'{"EMA" if is_ema else "raw"}{place}'
