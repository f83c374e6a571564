"""Pictures of runs and sweeps, as PNG and as SVG for papers."""

from inception_jax.plots.blocks import heat_map
from inception_jax.plots.curves import draw_run_curves, panels, seed_band
from inception_jax.plots.stability import stability_map

__all__ = ['draw_run_curves', 'heat_map', 'panels', 'seed_band', 'stability_map']
