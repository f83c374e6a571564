"""Colours that pictures and pages share; colour-blind people tell them apart."""

from collections.abc import Sequence
from typing import Any

# Fill and text. The first four are of Okabe and Ito's palette; whoever has no verdict
# yet is hollow. Each stands beside its name in words, never alone.
VERDICTS = {
    'alive': ('#0072b2', '#ffffff'),
    'dying': ('#e69f00', '#000000'),
    'dead': ('#d55e00', '#000000'),
    'diverged': ('#cc79a7', '#000000'),
    'failed': ('none', 'currentcolor'),
    'unfinished': ('none', 'currentcolor'),
}

# The line of whoever is hollow.
HOLLOW = '#7d8792'

# Ordered values, from cold to warm: none is near white or black, so that lines show on
# both.
RAMP = ('#3f78c9', '#2c9aa6', '#7fa050', '#d09a2c', '#d1602c')

SPLIT_COLOURS = {'train': '#8a94a0', 'evaluation': '#d1602c', 'diagnostics': '#3f78c9'}


# Values without an order; of Okabe and Ito's palette, too.
DISTINCT = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7d8792')


def colours(values: Sequence[Any]) -> list[str]:
    """Returns a colour for each value: along the ramp if they are numbers or many."""
    numbers = all(isinstance(v, int | float) for v in values if v is not None)
    if numbers or len(values) > len(DISTINCT):
        return ramp(len(values))
    return list(DISTINCT[: len(values)])


def ramp(count: int) -> list[str]:
    """Returns `count` colours along the ramp, its ends among them."""
    if count == 1:
        return [RAMP[0]]
    return [_mixed(RAMP, i / (count - 1)) for i in range(count)]


def _mixed(stops: Sequence[str], place: float) -> str:
    """Returns the colour at `place`, 0 to 1, between evenly spaced stops."""
    left = min(int(place * (len(stops) - 1)), len(stops) - 2)
    share = place * (len(stops) - 1) - left
    pairs = zip(_parts(stops[left]), _parts(stops[left + 1]), strict=True)
    return '#' + ''.join(f'{round(a + share * (b - a)):02x}' for a, b in pairs)


def _parts(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
