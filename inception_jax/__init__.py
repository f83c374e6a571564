"""Inception-v3, -v4 and Inception-ResNet-v1, -v2 (arXiv:1602.07261) as a laboratory.

    import inception_jax as ij

The import takes milliseconds: a public name loads its file when it is first used, so
networks can be printed, drawn and compared without JAX.
"""

from inception_jax.runtime.version import VERSION as __version__

# For editors and type checkers, for which this is True. `_PUBLIC` holds the same names.
# `typing` is not imported, since that takes longer than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from inception_jax.config.experiment import experiment as experiment
    from inception_jax.config.files import load_config as load_config
    from inception_jax.evaluation.convert_and_export import convert as convert
    from inception_jax.evaluation.convert_and_export import export as export
    from inception_jax.evaluation.evaluate import evaluate as evaluate
    from inception_jax.evaluation.predict import predict as predict
    from inception_jax.evaluation.probabilities import ensemble as ensemble
    from inception_jax.evaluation.scores import scores as scores
    from inception_jax.evaluation.trained import trained as trained
    from inception_jax.lab.fork import fork as fork
    from inception_jax.lab.predict_stability import (
        predict_stability as predict_stability,
    )
    from inception_jax.lab.probe import probe as probe
    from inception_jax.lab.replay import replay as replay
    from inception_jax.lab.sweep import sweep as sweep
    from inception_jax.lab.sweep_folder import Sweep as Sweep
    from inception_jax.lab.sweep_folder import read_sweep as read_sweep
    from inception_jax.model.classifier import Classifier as Classifier
    from inception_jax.model.classifier import Outputs as Outputs
    from inception_jax.model.initializers import init as init
    from inception_jax.networks import NETWORKS as NETWORKS
    from inception_jax.networks import RULES as RULES
    from inception_jax.networks import Chain as Chain
    from inception_jax.networks import Concat as Concat
    from inception_jax.networks import Conv as Conv
    from inception_jax.networks import Module as Module
    from inception_jax.networks import Network as Network
    from inception_jax.networks import Norm as Norm
    from inception_jax.networks import Pool as Pool
    from inception_jax.networks import Residual as Residual
    from inception_jax.networks import Scale as Scale
    from inception_jax.networks import Stage as Stage
    from inception_jax.networks import avg_pool as avg_pool
    from inception_jax.networks import chain as chain
    from inception_jax.networks import concat as concat
    from inception_jax.networks import conv as conv
    from inception_jax.networks import diff as diff
    from inception_jax.networks import draw as draw
    from inception_jax.networks import expand as expand
    from inception_jax.networks import load as load
    from inception_jax.networks import map_network as map_network
    from inception_jax.networks import map_ops as map_ops
    from inception_jax.networks import max_pool as max_pool
    from inception_jax.networks import measure as measure
    from inception_jax.networks import network as network
    from inception_jax.networks import one as one
    from inception_jax.networks import residual as residual
    from inception_jax.networks import scaled as scaled
    from inception_jax.networks import stage as stage
    from inception_jax.networks import table as table
    from inception_jax.networks import with_scales as with_scales
    from inception_jax.parallel.compile import compile_step as compile_step
    from inception_jax.parallel.mesh import device_mesh
    from inception_jax.reports.report import report as report
    from inception_jax.runs.run import Run as Run
    from inception_jax.runs.run import run as run
    from inception_jax.stability.curvature import (
        largest_curvature as largest_curvature,
    )
    from inception_jax.stability.diagnostics import diagnose as diagnose
    from inception_jax.stability.probes import jacobian_gain as jacobian_gain
    from inception_jax.stability.probes import scale_gradient as scale_gradient
    from inception_jax.stability.verdicts import Thresholds as Thresholds
    from inception_jax.stability.verdicts import Verdict as Verdict
    from inception_jax.stability.verdicts import judge as judge
    from inception_jax.steps.eval_step import eval_step as eval_step
    from inception_jax.steps.hparams import Hparams as Hparams
    from inception_jax.steps.hparams import hparams_for as hparams_for
    from inception_jax.steps.optimizers import optimizer as optimizer
    from inception_jax.steps.recipe import Recipe as Recipe
    from inception_jax.steps.state import TrainState as TrainState
    from inception_jax.steps.state import initial_state as initial_state
    from inception_jax.steps.train_step import train_step as train_step
    from inception_jax.training.run import train as train
    from inception_jax.training.states import state_at as state_at
    from inception_jax.weights.trained import load_weights as load_weights
    from inception_jax.weights.weight_file import save_weights as save_weights

    mesh = device_mesh

# The public names of each module.
_PUBLIC = {
    'config.experiment': 'experiment',
    'config.files': 'load_config',
    'evaluation.convert_and_export': 'convert export',
    'evaluation.evaluate': 'evaluate',
    'evaluation.predict': 'predict',
    'evaluation.probabilities': 'ensemble',
    'evaluation.scores': 'scores',
    'evaluation.trained': 'trained',
    'lab.fork': 'fork',
    'lab.predict_stability': 'predict_stability',
    'lab.probe': 'probe',
    'lab.replay': 'replay',
    'lab.sweep': 'sweep',
    'lab.sweep_folder': 'Sweep read_sweep',
    'model.classifier': 'Classifier Outputs',
    'model.initializers': 'init',
    'networks': (
        'NETWORKS RULES Chain Concat Conv Module Network Norm Pool Residual Scale '
        'Stage avg_pool chain concat conv diff draw expand load map_network map_ops '
        'max_pool measure network one residual scaled stage table with_scales'
    ),
    'parallel.compile': 'compile_step',
    'parallel.mesh': 'mesh',
    'reports.report': 'report',
    'runs.run': 'Run run',
    'stability.curvature': 'largest_curvature',
    'stability.diagnostics': 'diagnose',
    'stability.probes': 'jacobian_gain scale_gradient',
    'stability.verdicts': 'Thresholds Verdict judge',
    'steps.eval_step': 'eval_step',
    'steps.hparams': 'Hparams hparams_for',
    'steps.optimizers': 'optimizer',
    'steps.recipe': 'Recipe',
    'steps.state': 'TrainState initial_state',
    'steps.train_step': 'train_step',
    'training.run': 'train',
    'training.states': 'state_at',
    'weights.trained': 'load_weights',
    'weights.weight_file': 'save_weights',
}
_MODULE_OF = {
    name: module for module, names in _PUBLIC.items() for name in names.split()
}
_OTHER_NAME = {'mesh': 'device_mesh'}  # Inside, `mesh` is the name of the value.

__all__ = ['__version__', *sorted(_MODULE_OF)]


def __getattr__(name: str) -> 'Any':
    import importlib

    if name not in _MODULE_OF:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module = importlib.import_module(f'{__name__}.{_MODULE_OF[name]}')
    value = getattr(module, _OTHER_NAME.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
