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
# # Train, look, fork, replay
#
# A run is a folder. This notebook trains a narrow network on handwritten digits, looks at the run, changes a
# number in the middle of it, and recomputes some of its steps.
#
# The runs of this notebook are in a temporary folder. Write `Path('runs')` to keep them.

# %%
import tempfile
from pathlib import Path

import inception_jax as ij

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Train
#
# `load_config` loads a config file, or a config of the package by its name, and changes fields of it. Here
# the network is Inception-ResNet-v1 at a tenth of its width with one block in each stage.

# %%
config = ij.load_config(
    'quickstart',
    width=0.1,
    depth=0.1,
    epochs=2.0,
    log_every_steps=5,
    diagnose_every_steps=45,
)
run = ij.train(config, folder / 'first')

# %% [markdown]
# The same call resumes a run that was stopped. It trains nothing if the run is finished.
#
# ## Look
#
# A notebook shows a run as its result and its curves.

# %%
run

# %% [markdown]
# `records` returns the numbers of the run as columns of equal length. `pandas.DataFrame` takes them.

# %%
records = run.records('train')
for step, error in zip(records['step'][::3], records['top_1_error'][::3], strict=True):
    print(f'step {step:3}: training error {error:5.1f} %')

# %% [markdown]
# Diagnostics show the inside of the network, block by block, here after the first epoch.

# %%
blocks = run.records('diagnostics')
for i in range(len(set(blocks['block']))):
    print(f'{blocks["block"][i]:12} output RMS {blocks["output_rms"][i]:.2f}')

# %% [markdown]
# The trained network predicts images: paths of files, or arrays of pixels from 0 to 255. These are ten digits
# of the data set.

# %%
import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
images = np.repeat((digits.images[:10, ..., None] * 15.9).astype(np.uint8), 3, axis=3)
predictions = ij.trained(run).predict(images, top=1)
print('digit      ', *digits.target[:10])
print('prediction ', *(p.classes[0] for p in predictions))

# %% [markdown]
# ## Fork
#
# A fork resumes a run from any step with other numbers. This fork trains the second epoch at a tenth of
# the learning rate. The checkpoint after the first epoch is where it starts.

# %%
forked = ij.fork(run, step=45, into=folder / 'slower', learning_rate=0.0045)
print(forked)
print(forked.lineage['changes'])

# %% [markdown]
# ## Replay
#
# A replay recomputes steps of a run, with diagnostics at every step. It compares the records and the last
# state with those of the run. On the same machine they are bit-identical.

# %%
print(ij.replay(run, 85, 90))
