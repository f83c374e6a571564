"""Figs. 3 to 19, 9 and 15, and Table 1, drawn and read from the network values.

Claim     the networks of the paper are what its figures and Table 1 print, up to four
          misprints that would not fit together
Command   python -m experiments.architecture
Cost      a second; no JAX
Writes    results/architecture/fig_*.svg and table.md
"""

from pathlib import Path

from inception_jax.networks import load
from inception_jax.networks.figures.figure import draw
from inception_jax.networks.shapes import measure
from inception_jax.runtime.files import write_text

# Figure: network, block (None for the whole network).
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
| 3 | 3x3 Conv (192 V) | stride 2 | 71 -> 35, beside a pool of stride 2 |
| 5 | 1x7, 1x7 in the third branch | 1x7, 7x1 | all its siblings alternate |
| 17 | 1154 linear | 1152 | the sum needs the trunk's 384 + 384 + 384 |
| 19 | 2048 linear | 2144 | the sum needs the trunk's 1152 + 384 + 288 + 320 |
"""


def reduction_a_filters(name: str) -> tuple[int, int, int, int]:
    """Returns k, l, m and n as the network value has them."""
    (block,) = (b for b in measure(load(name)) if b.name == 'reduction_a')
    n, k, l, m = (leaf.output[2] for leaf in block.leaves if leaf.layers)  # noqa: E741
    return k, l, m, n


def table() -> str:
    """Returns Table 1 as read from the values beside the printed one, and misprints."""
    rows = ['| network | k, l, m, n | printed | output |', '|---|---|---|---|']
    for name, printed in TABLE_1.items():
        (block,) = (b for b in measure(load(name)) if b.name == 'reduction_a')
        output = 'x'.join(map(str, block.output))
        rows.append(f'| {name} | {reduction_a_filters(name)} | {printed} | {output} |')
    return '\n'.join(rows) + '\n' + MISPRINTS


def main(folder: Path = Path('results/architecture')) -> None:
    for number, (name, block) in FIGURES.items():
        part = block or 'network'
        path = folder / f'fig_{number:02}_{name}_{part}.svg'
        write_text(path, draw(load(name), block))
    write_text(folder / 'table.md', table())
    print(table())
    print(f'{len(FIGURES)} figures in {folder}')


if __name__ == '__main__':
    main()
