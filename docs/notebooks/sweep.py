# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a sweep to a figure for a paper
#
# Section 3.3 of the paper reports that wide residual networks "die": the last layer before the average pool
# gives only zeros. A lower learning rate did not help, a smaller residual scale did. This notebook tries both
# remedies on a small network and handwritten digits.
#
# The sweep of this notebook is in a temporary folder. Write `Path('runs/sweep')` to keep it.

# %%
import tempfile
from pathlib import Path

import inception_jax as ij

folder = Path(tempfile.mkdtemp(), 'sweep')

# %% [markdown]
# ## Train six networks
#
# The config `stability` has a wide last stage after narrow stages. Here the narrow stages have a tenth of their
# width, and the last stage has 611 filters. Verdicts judge the last 20 steps.

# %%
narrow = {
    'stem': 0.1,
    'a': 0.1,
    'reduction_a': 0.1,
    'b': 0.1,
    'reduction_b': 0.5,
}
config = ij.load_config(
    'stability',
    width=narrow,
    depth={'a': 0.1, 'b': 0.1, 'c': 0.6},
    source='digits',
    flip=False,
    batch_norm_decay=0.8,
    epochs=1.0,
    log_every_steps=2,
    diagnose_every_steps=0,
    window=20,
)

# %% [markdown]
# A sweep trains a member for each combination of values. Residual scales and learning rates are arguments of
# the compiled train step, so the six members share one compilation.

# %%
sweep = ij.sweep(
    config,
    folder,
    residual_scale=[0.1, 0.3, 1.0],
    learning_rate=[0.0045, 0.045],
)

# %% [markdown]
# ## Look
#
# A notebook shows a sweep as its stability map and its table. A channel is silent if it is zero for the whole
# batch. A member is *dying* if on average half of the channels of the final feature map are silent, and *dead* if
# 95 % of them have been silent for the 20 steps of the window.

# %%
sweep

# %% [markdown]
# `report` writes one page that opens offline, and each figure as PNG (300 dpi) and SVG.

# %%
print(ij.report(sweep))

# %% [markdown]
# ## Draw a figure of your own
#
# The records of a member are columns, so a figure takes a few lines of matplotlib. Inside `styled`, fonts
# and lines are those of the project's figures. `COLUMN` is the width of a column of text in inches.
# `save_figure` writes a PNG and an SVG file.

# %%
import matplotlib.pyplot as plt

from inception_jax.plots.style import COLUMN, save_figure, styled

with styled():
    figure, panels = plt.subplots(
        1, 2, figsize=(COLUMN, 2.2), sharey=True, layout='constrained'
    )
    for row in sweep.table():
        records = ij.run(sweep.workdir(row['member'])).records('train')
        panel = panels[int(row['learning_rate'] > 0.01)]
        label = f'scale {row["residual_scale"]:g}'
        style = {0.1: '-', 0.3: '--', 1.0: ':'}[row['residual_scale']]
        panel.plot(records['step'], 100 * records['dead_channels'], style, label=label)
        panel.set(title=f'learning rate {row["learning_rate"]:g}', xlabel='step')
    panels[0].set_ylabel('silent channels (%)')
    panels[0].legend()
    paths = save_figure(figure, folder / 'figures' / 'silent_channels')

print(*(path.name for path in paths))

# %% [markdown]
# At the rate 0.045 the network with scale 1 loses most of its channels within 30 steps. A smaller scale
# prevents that, as in the paper. Here a lower rate prevents it, too; the paper reports that it does not. This is one
# seed, 45 steps and an easy data set: `python experiments/stability.py` has seeds and controls.
