"""The colours of figures and pages, chosen so that colour-blind people can use them."""

from collections.abc import Sequence
from typing import Any

# Fill and text colour. The first four are from the palette of Okabe and Ito; members
# without a verdict have no fill. A colour never stands without the verdict's name.
VERDICT_COLOURS = {
    'alive': ('#0072b2', '#ffffff'),
    'dying': ('#e69f00', '#000000'),
    'dead': ('#d55e00', '#000000'),
    'diverged': ('#cc79a7', '#000000'),
    'failed': ('none', 'currentcolor'),
    'unfinished': ('none', 'currentcolor'),
}

# The outline of members without a fill.
OUTLINE = '#7d8792'

# For ordered values, from cold to warm. No colour is close to white or black, so that
# lines are visible on both backgrounds.
RAMP = ('#3f78c9', '#2c9aa6', '#7fa050', '#d09a2c', '#d1602c')

# For values without an order; also from the palette of Okabe and Ito.
DISTINCT = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7d8792')

SPLIT_COLOURS = {'train': '#8a94a0', 'evaluation': '#d1602c', 'diagnostics': '#3f78c9'}


def value_colours(values: Sequence[Any]) -> list[str]:
    """Returns a colour for each value.

    Numbers, and more values than `DISTINCT` has colours, lie along the ramp.
    """
    numbers = all(isinstance(v, int | float) for v in values if v is not None)
    if numbers or len(values) > len(DISTINCT):
        return ramp_colours(len(values))
    return list(DISTINCT[: len(values)])


def ramp_colours(count: int) -> list[str]:
    """Returns `count` colours along the ramp, including both ends.

    >>> ramp_colours(3)
    ['#3f78c9', '#7fa050', '#d1602c']
    """
    if count == 1:
        return [RAMP[0]]
    return [_mixed(RAMP, i / (count - 1)) for i in range(count)]


def _mixed(stops: Sequence[str], position: float) -> str:
    """Returns the colour at a position from 0 to 1 between evenly spaced stops."""
    left = min(int(position * (len(stops) - 1)), len(stops) - 2)
    share = position * (len(stops) - 1) - left
    pairs = zip(_channels(stops[left]), _channels(stops[left + 1]), strict=True)
    return '#' + ''.join(f'{round(a + share * (b - a)):02x}' for a, b in pairs)


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
