"""Pictures of runs and sweeps, as PNG and as SVG for papers."""

from inception_jax.plots.blocks import heat_map
from inception_jax.plots.curves import panels, seed_band
from inception_jax.plots.run import curves
from inception_jax.plots.stability import stability_map

__all__ = ['curves', 'heat_map', 'panels', 'seed_band', 'stability_map']
