"""Table 3: errors of one network by 12 crops of each image.

Command   python experiments/table_3.py runs/v3 runs/v4 ...
          python experiments/table_3.py --scale laptop
Reads     files that `evaluate --crops 12` wrote, or runs, which it evaluates
Cost      from files seconds; laptop: 40 minutes on 2 CPU cores for all tables once,
          then 3 minutes of evaluation
Seeds     of the laptop four for Inception-v3, three for the others
Writes    results/table_3/: table.md, table.csv, table.png and .svg

The paper says 12 crops as in GoogLeNet, which has none: they are our reading, see
`crops`. It prints ResNet-151 for ResNet-152, whose row is of 10 crops.
"""

import sys

from experiments import paper_tables
from experiments.paper_rows import Row, Table

ROWS = (
    Row('ResNet-152 (10 crops)', {}, 21.4, 5.7),
    Row('Inception-v3', {'inception_v3': 1}, 19.8, 4.6),
    Row('Inception-ResNet-v1', {'inception_resnet_v1': 1}, 19.8, 4.6),
    Row('Inception-v4', {'inception_v4': 1}, 18.7, 4.2),
    Row('Inception-ResNet-v2', {'inception_resnet_v2': 1}, 18.7, 4.1),
)
TABLE = Table(3, crops=12, images=50_000, rows=ROWS)

if __name__ == '__main__':
    sys.exit(paper_tables.run(sys.modules[__name__], TABLE))
