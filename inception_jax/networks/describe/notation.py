"""Ops and block names in one line: `1x1/64 -> 3x3/96`, `a_1..a_5`."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence

from inception_jax.networks.ops import (
    Chain,
    Concat,
    Conv,
    Dense,
    Dropout,
    Module,
    Norm,
    Op,
    Pool,
    Relu,
    Residual,
    Scale,
    shape_text,
)


def notation(op: Op) -> str:
    """Writes an op in one line; `str(op)` is the same text.

    A convolution is height x width / filters. `s2V` means stride 2 with VALID padding,
    and `V` alone means stride 1 with VALID padding. `[a; b]` are concatenated branches.
    `clip` marks a window that shrinks to its grid, `std` the standard deviation of the
    initial kernel, and `learned 0.1` a product with a learned number that starts at
    0.1.

    >>> from inception_jax.networks import chain, conv
    >>> notation(chain(conv(64), conv(96, 3, 2, 'VALID')))
    '1x1/64 -> 3x3/96 s2V'
    """
    match op:
        case Chain():
            return ' -> '.join(map(notation, op.ops)) or 'identity'
        case Concat():
            return f'[{"; ".join(map(notation, op.branches))}]'
        case Residual():
            relu = 'relu' if op.relu else ''
            return f'{relu}(x + {short(op.scale)} * ({notation(op.branch)}))'
        case Norm():
            return 'batch norm' + (' relu' if op.relu else '')
        case Relu():
            return 'relu'
        case Scale():
            each = ' per channel' if op.per_channel else ''
            return f'learned {short(op.initial)}{each}'
        case Dropout():
            return f'dropout {op.rate}'
        case Module():
            return callable_name(op.make)
    return ' '.join([_size(op), *_details(op)])


def _size(op: Conv | Pool | Dense) -> str:
    match op:
        case Dense():
            return f'dense/{op.units}'
        case Pool(kernel=None):
            return f'global {op.kind}'
        case Pool():
            return f'{op.kind} {shape_text(op.kernel)}'
    filters = 'linear' if op.filters is None else op.filters
    return f'{shape_text(op.kernel)}/{filters}'


def _details(op: Conv | Pool | Dense) -> list[str]:
    details = []
    if isinstance(op, Conv) and op.linear and op.filters is not None:
        details.append('linear')
    if isinstance(op, Conv | Pool) and op.kernel is not None:
        stride = f's{op.stride}' if op.stride != 1 else ''
        details.append(stride + ('V' if op.padding == 'VALID' else ''))
        details.append('clip' if op.clip else '')
    if isinstance(op, Conv | Dense) and op.stddev is not None:
        details.append(f'std {op.stddev}')
    return list(filter(None, details))


def callable_name(function: Callable) -> str:
    """Returns the name of a function, a class or a lambda, or a partial with arguments.

    >>> callable_name(functools.partial(round, ndigits=2))
    'round(ndigits=2)'
    """
    if isinstance(function, functools.partial):
        named = [f'{key}={value!r}' for key, value in function.keywords.items()]
        arguments = ', '.join([*map(repr, function.args), *named])
        return f'{callable_name(function.func)}({arguments})'
    if not hasattr(function, '__qualname__'):
        return type(function).__qualname__
    name = function.__qualname__.replace('<locals>.', '')
    if not name.endswith('<lambda>'):
        return name
    module = inspect.getmodule(function)
    return name.replace('<lambda>', f'lambda in {module.__name__ if module else "?"}')


def short(number: float) -> str:
    """Writes a number with at most four significant digits: `0.4472`, `1.0`, `1e-05`.

    >>> short(1 / 5**0.5)
    '0.4472'
    """
    return str(float(f'{number:.4g}'))


def span(names: Sequence[str]) -> str:
    """Writes block names: `stem`, `a_1..a_5` for neighbours, `c_1, c_3` for others.

    >>> span(['a_1', 'a_2', 'a_3'])
    'a_1..a_3'
    """
    if len(names) == 1:
        return names[0]
    numbers = [int(re.search(r'\d+$', name)[0]) for name in names]
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f'{names[0]}..{names[-1]}'
    if len(names) > 3:
        return f'{names[0]}, {names[1]}, .., {names[-1]}'
    return ', '.join(names)


def wrapped(line: str, width: int) -> list[str]:
    """Breaks a notation into lines, before an arrow or after a semicolon."""
    lines = ['']
    for piece in re.split(r'(?<=;) | (?=->)', line):
        joined = f'{lines[-1]} {piece}'.strip()
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(piece)
    return lines
