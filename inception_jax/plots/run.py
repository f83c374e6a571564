"""Pictures of runs."""

import math
from pathlib import Path

from matplotlib.figure import Figure

from inception_jax.runs.records import Record

COLOURS = {'train': '#9aa5b1', 'evaluation': '#c0392b'}
NAMES = {'train': 'training batches', 'evaluation': 'evaluation, averaged parameters'}


def curves(records: list[Record], path: Path, *, title: str) -> None:
    """Draws top-1 error, in percent, and cross-entropy against the epoch as a PNG."""
    figure = Figure(figsize=(9, 3.8), layout='constrained')
    panels = figure.subplots(1, 2)
    for panel, name, label in zip(
        panels,
        ('top_1_error', 'cross_entropy'),
        ('top-1 error, %', 'cross-entropy, nats'),
        strict=True,
    ):
        for split in NAMES:
            rows = [r for r in records if r['split'] == split]
            panel.plot(
                [row['epoch'] for row in rows],
                [math.nan if row[name] is None else row[name] for row in rows],
                color=COLOURS[split],
                linewidth=2 if split == 'evaluation' else 1,
                marker='o' if split == 'evaluation' and len(rows) <= 40 else None,
                markersize=4,
                label=NAMES[split],
            )
        panel.set_xlabel('epoch')
        panel.set_ylabel(label)
        panel.set_yscale('log') if name == 'cross_entropy' else panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.spines[['top', 'right']].set_visible(False)
    panels[1].legend(frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
