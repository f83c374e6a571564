"""Exports a network as one file that jax runs without this package.

The file holds a program in StableHLO for any batch size, and the weights. Later
versions of JAX read it for about six months; then it must be exported again.
"""

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from inception_jax.data.augment import to_range
from inception_jax.model.classifier import Classifier
from inception_jax.networks import folding
from inception_jax.networks.images import CROP_FIELDS
from inception_jax.networks.network import Network, residual_scales
from inception_jax.networks.rules import with_scales
from inception_jax.runtime import choices
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_atomically
from inception_jax.runtime.json_files import misfit, parse_json
from inception_jax.runtime.messages import warn
from inception_jax.runtime.npz import Damaged, read_npz
from inception_jax.weights.folding import fold
from inception_jax.weights.trained import Trained, check_head

FORMAT = 'inception-jax export 1'
PIXELS = ('uint8', 'float32')
PLATFORMS = ('cpu', 'cuda', 'tpu')

# The types of the metadata that every export has.
FIELDS = {
    'format': str,
    'network': str,
    'classes': int,
    'input_size': int,
    'pixels': str,
    'pixel_range': list[float],
    'residual_scales': list[float],
    'scale_input': bool,
    'folded': bool,
    'platforms': list[str],
}
# Exports of older versions have no date.
DATES = {'jax': str, 'made': str, 'expires': str | None}

RENEW = 'export the weights again with --renew (renew=True)'
# JAX reads an exported program for six months at least (docs.jax.dev, jax.export).
VALID = datetime.timedelta(days=180)


class Export(NamedTuple):
    """A program, the weights that it takes as its first argument, and its metadata.

    Weights are float32, named as in `params/stem/conv0/kernel`. `metadata` has JSON
    values. `str(export)` says how to call the program.
    """

    # As constants of the program, 56 M weights would double the time and the memory of
    # each compilation, and every batch size is compiled.
    program: jax.export.Exported
    weights: dict[str, np.ndarray]
    metadata: dict[str, Any]

    def __str__(self) -> str:
        data = self.metadata
        side, count = data['input_size'], sum(x.size for x in self.weights.values())
        low, high = data['pixel_range']
        pixels = '0 to 255' if data['pixels'] == 'uint8' else f'{low:.4g} to {high:.4g}'
        rows = {
            'network': f'{data["network"]}{", folded" * data["folded"]}',
            'images': f'{data["pixels"]} [b, {side}, {side}, 3], {pixels}',
            'logits': f'float32 [b, {data["classes"]}]',
            'weights': f'{count:,} numbers, batch statistics included',
            'runs on': ', '.join(data['platforms']),
        }
        if data.keys() >= DATES.keys():
            made = f'made {data["made"]}, jax {data["jax"]}'
            rows['valid'] = f'until {data["expires"]} ({made})'
        if data['scale_input']:
            scales = len(data['residual_scales'])
            rows['scales'] = f'float32 [{scales}], the last argument'
        return '\n'.join(f'{name:<10}{value}' for name, value in rows.items())

    def __repr__(self) -> str:
        return (
            f'Export({self.metadata["network"]}, {counted(len(self.weights), "array")})'
        )


def export_network(
    network: Network,
    variables: Mapping[str, Any],
    *,
    folded: bool = False,
    scale_input: bool = False,
    pixels: str = 'uint8',
    platforms: Sequence[str] = PLATFORMS,
) -> Export:
    """Exports a network for inference, without the auxiliary head.

    The program maps weights and images [b, size, size, 3] to float32 logits
    [b, classes] for any b, at the default precision of the platform that runs it.

    Args:
      variables: `params` and `batch_stats` of the classifier.
      folded: whether to fold batch norm and residual scales into the convolutions.
      scale_input: whether the program takes the residual scales as its last argument,
        float32 [residual blocks]. By default they are the network's.
      pixels: 'uint8' for images from 0 to 255, which the program scales, or 'float32'
        for images in the network's pixel range.
      platforms: the platforms that can run the program: cpu, cuda, rocm, tpu.

    Raises:
      ValueError: an option is unknown, or excludes another one.

    >>> import inception_jax as ij
    >>> stem = ij.one('stem', ij.conv(4, 3, 2))
    >>> tiny = ij.network('tiny', stem, classes=3, input_size=16)
    >>> export = export_network(tiny, ij.init(tiny), platforms=['cpu'])
    >>> print(export)  # doctest: +ELLIPSIS
    network   tiny
    images    uint8 [b, 16, 16, 3], 0 to 255
    logits    float32 [b, 3]
    weights   135 numbers, batch statistics included
    runs on   cpu
    valid     until ... (made ..., jax ...)
    >>> export.program.call(export.weights, np.zeros((2, 16, 16, 3), np.uint8)).shape
    (2, 3)
    """
    check_export_options(network, folded, scale_input, pixels, platforms)
    metadata = _metadata(network, folded, scale_input, pixels, platforms)
    if folded:
        variables = fold(network, variables)
        network = folding.folded(network)
    network = dataclasses.replace(network, auxiliary=None)
    weights = _flatten(variables)
    apply = _logits_function(network, pixels)
    arguments = [weights, _image_shape(network, pixels)]
    if scale_input:
        arguments.append(np.zeros(len(residual_scales(network)), np.float32))
    program = jax.export.export(jax.jit(apply), platforms=tuple(platforms))(*arguments)
    return Export(program, weights, metadata)


def export_trained(trained: Trained, **options) -> Export:
    """Exports a trained network with its residual scales, class names and origin.

    `options` are those of `export_network`.
    """
    check_head(trained)
    network = trained.network
    metadata = {
        **trained.metadata,
        'class_names': list(trained.class_names),
        'origin': trained.origin,
        'licence': trained.licence,
    }
    if residual_scales(network):
        network = with_scales(network, trained.scales.tolist())
    export = export_network(network, jax.device_get(trained.variables), **options)
    return export._replace(metadata=metadata | export.metadata)


def save_export(path: Path, export: Export) -> None:
    """Writes an export as an npz file, completely or not at all.

    The file holds the weights by their names, the serialized `program` as uint8, and
    the metadata as `about`, a string of JSON.

    Raises:
      OSError: the file cannot be written.
    """
    program = np.frombuffer(export.program.serialize(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as draft, draft.open('wb') as file:
        np.savez(
            file, program=program, about=json.dumps(export.metadata), **export.weights
        )


def load_export(path: str | Path) -> Export:
    """Reads a file that `save_export` wrote, with a note if it has expired.

    Raises:
      ValueError: there is no such file, it is damaged, or this JAX cannot read its
        program any more.
    """
    metadata, arrays = read_export(path)
    expires = metadata.get('expires')
    if expires is None:
        warn(f'{path} has no date; JAX reads an export for six months: {RENEW}')
    elif expires < str(datetime.date.today()):
        warn(f'{path} expired on {expires}, and newer JAX may not read it: {RENEW}')
    try:
        program = jax.export.deserialize(bytearray(arrays.pop('program')))
    except Exception as error:  # JAX raises many kinds for other versions and damage.
        raise ValueError(
            f'{path} was made by jax {metadata.get("jax", "of an unknown version")}, '
            f'and jax {jax.__version__} cannot read its program; {RENEW}'
        ) from error
    return Export(program, arrays, metadata)


def read_export(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the metadata and the arrays of an export, its program among them.

    Raises:
      ValueError: there is no such file, or it is no export.
    """
    try:
        arrays = read_npz(Path(path), {'about': 'U', 'program': 'u'}, others='f')
        metadata = parse_json(str(arrays.pop('about')))
        if reason := misfit(metadata, FIELDS, DATES):
            raise ValueError(reason)
    except FileNotFoundError as error:
        raise ValueError(f'{path} does not exist') from error
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror})') from error
    except (Damaged, ValueError) as error:
        raise ValueError(
            f'{path} is not an export of inception_jax, or is damaged ({error}); make '
            'it with export'
        ) from error
    if metadata['format'] != FORMAT:
        raise ValueError(f'{path} was written by another version of inception_jax')
    return metadata, arrays


def _logits_function(network: Network, pixels: str):
    """Returns the function that is exported."""
    # Plain execution: one program serves all platforms.
    classifier = Classifier(network, execution='plain')

    def logits(weights, images, scales=None):
        if pixels == 'uint8':
            images = to_range(images, network.pixel_range)
        outputs = classifier.apply(
            _unflatten(weights), images, train=False, residual_scale=scales
        )
        return outputs.logits

    return logits


def _image_shape(network: Network, pixels: str) -> jax.ShapeDtypeStruct:
    side = network.input_size
    (batch,) = jax.export.symbolic_shape('b')
    return jax.ShapeDtypeStruct((batch, side, side, 3), jnp.dtype(pixels))


def _flatten(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the variables by name, on the host, without the auxiliary head."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(
        {
            collection: {name: x for name, x in blocks.items() if name != 'auxiliary'}
            for collection, blocks in variables.items()
        }
    )
    return {'/'.join(key.key for key in path): np.asarray(x) for path, x in leaves}


def _unflatten(weights: Mapping[str, jax.Array]) -> dict[str, Any]:
    variables = {'params': {}, 'batch_stats': {}}
    for name, x in weights.items():
        *path, last = name.split('/')
        tree = variables
        for part in path:
            tree = tree.setdefault(part, {})
        tree[last] = x
    return variables


def _metadata(network, folded, scale_input, pixels, platforms) -> dict[str, Any]:
    return {
        'format': FORMAT,
        'network': network.name,
        'classes': network.classes,
        'input_size': network.input_size,
        **{name: getattr(network, name) for name in CROP_FIELDS},
        'pixels': pixels,
        'pixel_range': list(network.pixel_range),
        'residual_scales': list(residual_scales(network)),
        'scale_input': scale_input,
        'folded': folded,
        'platforms': list(platforms),
        'jax': jax.__version__,
        'made': str(today := datetime.date.today()),
        'expires': str(today + VALID),
    }


def check_export_options(
    network: Network,
    folded: bool,
    scale_input: bool,
    pixels: str,
    platforms: Sequence[str],
) -> None:
    """Raises ValueError unless the options are known and can be combined."""
    if folded and scale_input:
        raise ValueError(
            'a folded network holds its residual scales in its weights; export it '
            'without folding, or without the scales as an input'
        )
    if scale_input and not residual_scales(network):
        raise ValueError(
            f'{network.name} has no residual blocks; export it without the scales as '
            'an input'
        )
    choices.check('pixels', pixels, PIXELS)
    known = (*PLATFORMS, 'rocm')
    if not platforms or not set(platforms) <= set(known):
        raise ValueError(
            f'platforms {", ".join(platforms) or "none"}; expected one or more of '
            f'{", ".join(known)}'
        )
