"""A trained network that predicts, extracts features and is evaluated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from inception_jax.evaluation import evaluate as evaluation
from inception_jax.evaluation import predict as prediction
from inception_jax.networks.network import Network, fingerprint
from inception_jax.parallel.mesh import device_mesh, shardings
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import printable
from inception_jax.runtime.paths import local_path
from inception_jax.steps.by_block import without_blocks
from inception_jax.training.states import trained_run
from inception_jax.weights.trained import Trained, load_weights, network_scales
from inception_jax.weights.weight_file import HEAD


class TrainedNetwork(Trained):
    """A network with its variables, from `trained` or `from_variables`.

    `network`, `variables`, `scales` (of the residual branches), `class_names` and
    `dtype` are those that it is applied with. The functions `predict`, `features` and
    `evaluate` are its methods.
    """

    @classmethod
    def from_variables(
        cls,
        network: Network,
        variables: Mapping[str, Any],
        class_names: tuple[str, ...] | None = None,
    ) -> 'TrainedNetwork':
        """Returns a network with given variables, to apply it as a trained one.

        `variables` are those of the classifier. Classes are named '0', '1', ... by
        default.

        Raises:
          ValueError: the number of class names is not the number of classes.

        >>> import inception_jax as ij
        >>> stem = ij.one('stem', ij.conv(4, 3, 2))
        >>> tiny = ij.network('tiny', stem, classes=3, input_size=16)
        >>> TrainedNetwork.from_variables(tiny, ij.init(tiny))
        TrainedNetwork(tiny, 127 parameters)
        """
        names = class_names or tuple(map(str, range(network.classes)))
        if len(names) != network.classes:
            raise ValueError(
                f'{counted(len(names), "class name")}, and {network.name} has '
                f'{counted(network.classes, "class", "classes")}; name each class'
            )
        return _on_devices(
            cls(
                network=network,
                section={'name': network.name},
                variables=variables,
                scales=np.asarray(network_scales(network), np.float32),
                class_names=names,
                dtype='float32',
                mesh=device_mesh(),
                metadata={
                    'network': network.name,
                    'fingerprint': fingerprint(network),
                    'residual_scale': None,
                },
                origin={},
            )
        )

    predict = prediction.predict
    features = prediction.features
    evaluate = evaluation.evaluate

    @property
    def parameters(self) -> int:
        """The number of trained parameters, without the statistics of batch norm."""
        params = self.variables['params']
        if not self.class_names:
            params = without_blocks(params, HEAD)
        return sum(map(np.size, jax.tree.leaves(params)))

    def __repr__(self) -> str:
        parts = [self.network.name, f'{self.parameters:,} parameters', *_origin(self)]
        return f'TrainedNetwork({", ".join(parts)})'

    def __str__(self) -> str:
        size, names = self.network.input_size, self.class_names
        more = ', ...' if len(names) > 5 else ''
        scales = dict.fromkeys(f'{scale:g}' for scale in np.atleast_1d(self.scales))
        lines = {
            'input': f'{size} x {size} pixels in {self.network.pixel_range}',
            'classes': f'{len(names):,}: {", ".join(names[:5])}{more}'
            if names
            else 'no head',
            'residual scale': ', '.join(scales),
            'dtype': self.dtype,
            'origin': ', '.join(f'{key} {value}' for key, value in self.origin.items()),
            'licence': self.licence,
        }
        rows = (f'  {key}: {printable(value)}' for key, value in lines.items() if value)
        return '\n'.join([repr(self), *rows])


def trained(
    path: str | Path,
    *,
    step: int | None = None,
    network: str | None = None,
    raw: bool = False,
) -> TrainedNetwork:
    """Opens a trained network: the EMA weights of a run, or a weight file.

    Args:
      path: the folder of a run, or a weight file (.safetensors).
      step: of a run: the step of the weights, recomputed from the checkpoint before
        it; by default the newest checkpoint.
      network: the name of the network that the run or the file must have. A network of
        your own needs it, because opening a folder or a file must not run its code.
      raw: of a run: whether to take the raw weights instead of the EMA weights.

    Raises:
      ValueError: the run, the step or the file does not exist, the file is damaged, or
        it belongs to another network.

    >>> import tempfile
    >>> import inception_jax as ij
    >>> from inception_jax.networks import choose
    >>> small = {'name': 'inception_v4', 'width': 0.02, 'depth': 0.1, 'input_size': 75}
    >>> variables = ij.init(choose(**small, classes=2))
    >>> path = f'{tempfile.mkdtemp()}/small.safetensors'
    >>> file = ij.save_weights(path, small, variables, class_names=('ant', 'bee'))
    >>> trained(path)  # doctest: +ELLIPSIS
    TrainedNetwork(inception_v4, ... parameters, weights ...)
    >>> trained(path).class_names
    ('ant', 'bee')
    """
    path = local_path(path)
    if not path.exists():
        raise ValueError(
            f'{path} does not exist; check the path of the run or weight file'
        )
    if path.is_dir():
        return _on_devices(TrainedNetwork(*trained_run(path, step, network, raw=raw)))
    if step is not None or raw:
        raise ValueError(f'{path} is no run; leave out step and raw')
    return _on_devices(TrainedNetwork(*load_weights(path, network)))


def _on_devices(network: TrainedNetwork) -> TrainedNetwork:
    """Copies the variables to the devices once, for all later calls."""
    places = shardings(network.variables, network.mesh)
    return network._replace(variables=jax.device_put(network.variables, places))


def _origin(network: Trained) -> list[str]:
    if 'step' in network.origin:
        return [f'run {network.origin.get("run")}', f'step {network.origin["step"]}']
    if digest := network.metadata.get('weights'):
        return [f'weights {digest[:12]}']
    return []
