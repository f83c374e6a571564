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
# # Networks as values and figures
#
# A network is plain data: stages of blocks, blocks of convolutions. You can print it, draw it, compare it
# and change it without JAX. This notebook takes a few seconds.

# %%
import inception_jax as ij

sorted(ij.NETWORKS)

# %% [markdown]
# `print` shows the table of a network: the output shape, the parameters and the multiply-adds of each block.

# %%
paper = ij.load('inception_resnet_v2')
print(paper)

# %% [markdown]
# `draw` returns the figure of a network, or of one block, as SVG. The block `b_1` is Fig. 17 of the paper:
# the branch is scaled and added to the trunk.

# %%
ij.draw(paper, 'b_1')

# %% [markdown]
# The authors later released a network under the same name. `diff` lists the differences from the paper.

# %%
ij.diff(paper, ij.load('inception_resnet_v2_slim'))

# %% [markdown]
# ## Change a network
#
# A network never changes; a function returns another one. `scaled` returns a narrower and shallower relative.

# %%
small = ij.scaled(paper, width=0.1, depth=0.1)
small

# %% [markdown]
# A rule changes every residual branch. `layer_scale` gives each branch a learned scale for each channel.

# %%
ij.diff(small, ij.RULES['layer_scale'](small))

# %% [markdown]
# ## Write a network
#
# A network of your own is built from the same parts. `conv(16, 3, 2)` has 16 filters, a
# kernel of 3x3 and stride 2. A notebook shows a network as its figure.

# %%
net = ij.network(
    'three_paths',
    ij.one('stem', ij.conv(16, 3, 2)),
    ij.stage(
        'a',
        2,
        ij.residual(
            ij.concat(ij.conv(8), ij.chain(ij.conv(8), ij.conv(8, 3))), scale=0.3
        ),
    ),
    ij.one('reduction', ij.concat(ij.max_pool(3, 2), ij.conv(16, 3, 2, 'VALID'))),
    classes=10,
    input_size=32,
)
net

# %% [markdown]
# ## Apply a network
#
# `Classifier` makes a Flax module of a network, and `init` its random weights. This cell is the first that
# loads JAX. Its input is two handwritten digits, repeated to 32x32 pixels with values from -1 to 1. The
# residual scale is an argument of the call.

# %%
import numpy as np
from sklearn.datasets import load_digits

digits = load_digits().images[:2] / 8 - 1
images = np.repeat(np.kron(digits, np.ones((4, 4)))[..., None], 3, axis=3)
model, variables = ij.Classifier(net), ij.init(net, seed=0)
for scale in (0.0, 0.3, 1.0):
    outputs = model.apply(
        variables, np.float32(images), train=False, residual_scale=scale
    )
    print(f'scale {scale}: logits', *(f'{x:.2f}' for x in outputs.logits[0, :4]))
