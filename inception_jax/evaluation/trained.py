"""A trained network that predicts, extracts features and is evaluated."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from inception_jax.evaluation.evaluate import evaluate
from inception_jax.evaluation.predict import Images, Prediction, features, predict
from inception_jax.evaluation.probabilities import Probabilities
from inception_jax.networks.network import Network, fingerprint
from inception_jax.parallel.mesh import device_mesh, shardings
from inception_jax.training.states import trained_run
from inception_jax.weights.trained import Trained, load_weights, network_scales


class TrainedNetwork(Trained):
    """A network with its variables, from `trained` or `from_variables`.

    `network`, `variables`, `scales` (of the residual branches), `class_names` and
    `dtype` are those that it is applied with.
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

        >>> from inception_jax.model.initializers import initial_variables
        >>> from inception_jax.networks import conv, network, one
        >>> tiny = network('tiny', one('stem', conv(4, 3, 2)), classes=3, input_size=16)
        >>> variables = initial_variables(tiny, seed=0, scheme='he')
        >>> TrainedNetwork.from_variables(tiny, variables)
        TrainedNetwork(tiny, 127 parameters)
        """
        names = class_names or tuple(map(str, range(network.classes)))
        if len(names) != network.classes:
            raise ValueError(
                f'{len(names)} class names, and {network.name} has {network.classes} '
                'classes; name each class'
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
                about={
                    'network': network.name,
                    'fingerprint': fingerprint(network),
                    'residual_scale': None,
                },
                origin={},
            )
        )

    def predict(
        self,
        images: Images,
        top: int = 5,
        *,
        crops: int = 1,
        batch_size: int | None = None,
    ) -> list[Prediction]:
        """Returns the `top` most probable classes of every image; see `predict`."""
        return predict(self, images, top=top, crops=crops, batch_size=batch_size)

    def features(
        self, images: Images, name: str = 'pool', *, batch_size: int | None = None
    ) -> np.ndarray:
        """Returns the output of a block for every image; see `features`."""
        return features(self, images, name, batch_size=batch_size)

    def evaluate(
        self,
        source: str | None = None,
        split: str | None = None,
        *,
        data_dir: str | None = None,
        crops: int = 1,
        batch_size: int | None = None,
        skip_unreadable: bool = False,
        output: str | Path | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Probabilities:
        """Evaluates the network on the images of a source; see `evaluate`.

        The `scores` of the result are the errors in percent with 95 % intervals.
        """
        return evaluate(
            self,
            source=source,
            split=split,
            data_dir=data_dir,
            crops=crops,
            batch_size=batch_size,
            skip_unreadable=skip_unreadable,
            output=output,
            progress=progress,
        )

    @property
    def parameters(self) -> int:
        """The number of trained parameters, without the statistics of batch norm."""
        return sum(map(np.size, jax.tree.leaves(self.variables['params'])))

    def __repr__(self) -> str:
        parts = [self.network.name, f'{self.parameters:,} parameters', *_origin(self)]
        return f'TrainedNetwork({", ".join(parts)})'

    def __str__(self) -> str:
        size, names = self.network.input_size, self.class_names
        more = ', ...' if len(names) > 5 else ''
        scales = sorted({f'{scale:g}' for scale in np.atleast_1d(self.scales)})
        lines = {
            'input': f'{size} x {size} pixels in {self.network.pixel_range}',
            'classes': f'{len(names):,}: {", ".join(names[:5])}{more}',
            'residual scale': ', '.join(scales),
            'dtype': self.dtype,
            'origin': ', '.join(f'{key} {value}' for key, value in self.origin.items()),
            'licence': self.licence,
        }
        rows = (f'  {key}: {value}' for key, value in lines.items() if value)
        return '\n'.join([repr(self), *rows])


def trained(
    path: str | Path, *, step: int | None = None, network: str | None = None
) -> TrainedNetwork:
    """Opens a trained network: the EMA weights of a run, or a weight file.

    Args:
      path: the folder of a run, or a weight file (.safetensors).
      step: of a run: the step of the weights, recomputed from the checkpoint before
        it; by default the newest checkpoint.
      network: of a weight file: the name of the network that it must belong to. It is
        needed for a network of your own, because opening the file runs its code.

    Raises:
      ValueError: the run, the step or the file does not exist, the file is damaged, or
        it belongs to another network.

    >>> import tempfile
    >>> from inception_jax.model.initializers import initial_variables
    >>> from inception_jax.networks.catalogue import choose
    >>> from inception_jax.weights.weight_file import save_weights
    >>> small = {'name': 'inception_v4', 'width': 0.02, 'depth': 0.1, 'input_size': 75}
    >>> variables = initial_variables(choose(**small, classes=2), seed=0, scheme='he')
    >>> path = f'{tempfile.mkdtemp()}/small.safetensors'
    >>> file = save_weights(path, small, variables, class_names=('ant', 'bee'))
    >>> trained(path)  # doctest: +ELLIPSIS
    TrainedNetwork(inception_v4, ... parameters, weights ...)
    >>> trained(path).class_names
    ('ant', 'bee')
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f'{path}: there is no such run or weight file')
    if path.is_dir() or step is not None:
        if network is not None:
            raise ValueError(
                f'{path} is a run, which records its own network; leave out '
                f'network={network!r}'
            )
        return _on_devices(TrainedNetwork(*trained_run(path, step)))
    return _on_devices(TrainedNetwork(*load_weights(path, network)))


def _on_devices(network: TrainedNetwork) -> TrainedNetwork:
    """Copies the variables to the devices once, for all later calls."""
    places = shardings(network.variables, network.mesh)
    return network._replace(variables=jax.device_put(network.variables, places))


def _origin(network: Trained) -> list[str]:
    if 'step' in network.origin:
        return [f'run {network.origin.get("run")}', f'step {network.origin["step"]}']
    if digest := network.about.get('weights'):
        return [f'weights {digest[:12]}']
    return []
