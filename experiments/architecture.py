"""Figs. 3 to 19 and Table 1, drawn and computed from the network values.

Claim     the networks agree with the figures and Table 1 of the paper, except for four
          misprints that contradict the rest of the paper
Command   python -m experiments.architecture
Cost      a second; no JAX
Writes    results/architecture/fig_*.svg and table.md
"""

from pathlib import Path

from inception_jax.networks import load
from inception_jax.networks.figures.figure import draw
from inception_jax.networks.shapes import Measured, measure
from inception_jax.runtime.files import write_text

# By figure: the network and the block, None for the whole network.
FIGURES = {
    3: ('inception_v4', 'stem'),
    4: ('inception_v4', 'a'),
    5: ('inception_v4', 'b'),
    6: ('inception_v4', 'c'),
    7: ('inception_v4', 'reduction_a'),
    8: ('inception_v4', 'reduction_b'),
    9: ('inception_v4', None),
    10: ('inception_resnet_v1', 'a'),
    11: ('inception_resnet_v1', 'b'),
    12: ('inception_resnet_v1', 'reduction_b'),
    13: ('inception_resnet_v1', 'c'),
    14: ('inception_resnet_v1', 'stem'),
    15: ('inception_resnet_v1', None),
    16: ('inception_resnet_v2', 'a'),
    17: ('inception_resnet_v2', 'b'),
    18: ('inception_resnet_v2', 'reduction_b'),
    19: ('inception_resnet_v2', 'c'),
}

# Table 1: the filters of Reduction-A.
TABLE_1 = {
    'inception_v4': (192, 224, 256, 384),
    'inception_resnet_v1': (192, 192, 256, 384),
    'inception_resnet_v2': (256, 256, 384, 384),
}

MISPRINTS = """
| figure | printed | drawn | because |
|---|---|---|---|
| 3 | 3x3 Conv (192 V) | stride 2 | 71 -> 35; the parallel pool has stride 2 |
| 5 | 1x7, 1x7 in the third branch | 1x7, 7x1 | the other branches alternate |
| 17 | 1154 linear | 1152 | the sum needs the trunk's 384 + 384 + 384 |
| 19 | 2048 linear | 2144 | the sum needs the trunk's 1152 + 384 + 288 + 320 |
"""


def reduction_a_filters(name: str) -> tuple[int, int, int, int]:
    """Returns k, l, m and n, the filters of Reduction-A in a network."""
    block = _reduction_a(name)
    n, k, l, m = (leaf.output[2] for leaf in block.leaves if leaf.layers)  # noqa: E741
    return k, l, m, n


def _reduction_a(name: str) -> Measured:
    return next(b for b in measure(load(name)) if b.name == 'reduction_a')


def table_1() -> str:
    """Returns Table 1 as computed beside Table 1 as printed, and the misprints."""
    rows = ['| network | k, l, m, n | printed | output |', '|---|---|---|---|']
    for name, printed in TABLE_1.items():
        output = 'x'.join(map(str, _reduction_a(name).output))
        rows.append(f'| {name} | {reduction_a_filters(name)} | {printed} | {output} |')
    return '\n'.join(rows) + '\n' + MISPRINTS


def main(folder: Path = Path('results/architecture')) -> None:
    for number, (name, block) in FIGURES.items():
        part = block or 'network'
        path = folder / f'fig_{number:02}_{name}_{part}.svg'
        write_text(path, draw(load(name), block))
    write_text(folder / 'table.md', table_1())
    print(table_1())
    print(f'{len(FIGURES)} figures in {folder}')


if __name__ == '__main__':
    main()
