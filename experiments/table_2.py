"""Table 2: errors of one network by one crop of each image.

Command   python experiments/table_2.py runs/v3 runs/v4 ... --exclude LIST
          python experiments/table_2.py --scale laptop
Reads     files that `evaluate --crops 1` wrote, or runs, which it evaluates
Cost      from files seconds; laptop: 40 minutes on 2 CPU cores for all tables once,
          then a minute of evaluation
Seeds     of the laptop four for Inception-v3, three for the others
Writes    results/table_2/: table.md, table.csv, table.png and .svg

The paper's row is of the 48,238 images of validation that are not on ILSVRC's list of
1,762 bad ones: name that list by --exclude. On all 50,000 its figures are about 0.3
points higher. The best of its networks and the best of its plain ones differ by 0.1.
"""

import sys

from experiments import paper_tables
from experiments.paper_rows import Row, Table

ROWS = (
    Row('BN-Inception', {}, 25.2, 7.8),
    Row('Inception-v3', {'inception_v3': 1}, 21.2, 5.6),
    Row('Inception-ResNet-v1', {'inception_resnet_v1': 1}, 21.3, 5.5),
    Row('Inception-v4', {'inception_v4': 1}, 20.0, 5.0),
    Row('Inception-ResNet-v2', {'inception_resnet_v2': 1}, 19.9, 4.9),
)
TABLE = Table(2, crops=1, images=48_238, rows=ROWS)

if __name__ == '__main__':
    sys.exit(paper_tables.run(sys.modules[__name__], TABLE))
