"""Table 4: errors of one network by 144 crops of each image.

Command   python experiments/table_4.py runs/v3 runs/v4 ...
          python experiments/table_4.py --scale laptop
Reads     files that `evaluate --crops 144` wrote, or runs, which it evaluates
Cost      from files seconds; laptop: 40 minutes on 2 CPU cores for all tables once,
          then 19 minutes of evaluation
Seeds     of the laptop four for Inception-v3, three for the others
Writes    results/table_4/: table.md, table.csv, table.png and .svg

144 crops are GoogLeNet's at 299 pixels, see `crops`. The paper prints ResNet-151 for
ResNet-152, whose row is of a dense evaluation.
"""

import sys

from experiments import paper_tables
from experiments.paper_rows import Row, Table

ROWS = (
    Row('ResNet-152 (dense)', {}, 19.4, 4.5),
    Row('Inception-v3', {'inception_v3': 1}, 18.9, 4.3),
    Row('Inception-ResNet-v1', {'inception_resnet_v1': 1}, 18.8, 4.3),
    Row('Inception-v4', {'inception_v4': 1}, 17.7, 3.8),
    Row('Inception-ResNet-v2', {'inception_resnet_v2': 1}, 17.8, 3.7),
)
TABLE = Table(4, crops=144, images=50_000, rows=ROWS)

if __name__ == '__main__':
    sys.exit(paper_tables.run(sys.modules[__name__], TABLE))
