"""Table 5 of the paper beside the errors of our runs; --help lists its inputs."""

import sys

from experiments.paper_tables import TABLES, run

if __name__ == '__main__':
    sys.exit(run(TABLES[5]))
