"""A network as a file that jax runs without this package: a program and weights."""

import dataclasses
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
from inception_jax.networks.network import Network, residual_scales
from inception_jax.networks.rules import with_scales
from inception_jax.runtime.files import write_atomically
from inception_jax.weights.folding import fold
from inception_jax.weights.trained import Trained

FORMAT = 'inception-jax export 1'
PIXELS = ('uint8', 'float32')
PLATFORMS = ('cpu', 'cuda', 'tpu')


class Export(NamedTuple):
    """A program, the weights that it takes as its first argument, and what it is.

    Weights are float32 by name, `params/stem/conv0/kernel`. `about` is of JSON values.
    """

    # As constants of the program, 56 M weights double the seconds and the memory of
    # each compilation, and there is one for every batch size.
    program: jax.export.Exported
    weights: dict[str, np.ndarray]
    about: dict[str, Any]


def export_network(
    network: Network,
    variables: Mapping[str, Any],
    *,
    folded: bool = False,
    scale_input: bool = False,
    pixels: str = 'uint8',
    platforms: Sequence[str] = PLATFORMS,
) -> Export:
    """Exports what a network computes in evaluation, without the auxiliary head.

    The program maps weights and images [b, size, size, 3] to float32 logits
    [b, classes] for any b, at the default precision of the platform that runs it.

    Args:
      variables: `params` and `batch_stats`.
      folded: whether batch norm and residual scales are folded into convolutions.
      scale_input: whether the residual scales are a last argument, float32 [residual
        blocks], and not those of the network.
      pixels: 'uint8', which the program scales, or 'float32' in the network's range.
      platforms: those that can run it, in the words of JAX.

    Raises:
      ValueError: an option is unknown, or excludes another one.
    """
    check_export_options(network, folded, scale_input, pixels, platforms)
    about = _about(network, folded, scale_input, pixels, platforms)
    if folded:
        variables = fold(network, variables)
        network = folding.folded(network)
    network = dataclasses.replace(network, auxiliary=None)
    weights = _by_name(variables)
    apply = _applied(network, pixels)
    arguments = [weights, _images(network, pixels)]
    if scale_input:
        arguments.append(np.zeros(len(residual_scales(network)), np.float32))
    program = jax.export.export(jax.jit(apply), platforms=tuple(platforms))(*arguments)
    return Export(program, weights, about)


def export_trained(one: Trained, **options) -> Export:
    """Exports a trained network with its scales; `options` are those of `exported`."""
    network = one.network
    about = {
        **one.about,
        'class_names': list(one.class_names),
        'origin': one.origin,
        'licence': one.licence,
    }
    if residual_scales(network):
        network = with_scales(network, one.scales.tolist())
    found = export_network(network, jax.device_get(one.variables), **options)
    return found._replace(about=about | found.about)


def export_text(found: Export) -> str:
    """Returns how to call a program, in words."""
    about = found.about
    side, numbers = about['input_size'], sum(x.size for x in found.weights.values())
    low, high = about['pixel_range']
    pixels = '0 to 255' if about['pixels'] == 'uint8' else f'{low:.4g} to {high:.4g}'
    rows = {
        'network': f'{about["network"]}{", folded" * about["folded"]}',
        'images': f'{about["pixels"]} [b, {side}, {side}, 3], {pixels}',
        'logits': f'float32 [b, {about["classes"]}]',
        'weights': f'{numbers:,} numbers, batch statistics included',
        'runs on': ', '.join(about['platforms']),
    }
    if about['scale_input']:
        count = len(about['residual_scales'])
        rows['scales'] = f'float32 [{count}], the last argument'
    return '\n'.join(f'{name:<10}{value}' for name, value in rows.items())


def save_export(path: Path, export: Export) -> None:
    """Writes an export in one piece, as an npz file.

    It holds the weights by their names, the serialized `program` as uint8 and `about`
    as a text of JSON.

    Raises:
      OSError: it cannot be written.
    """
    program = np.frombuffer(export.program.serialize(), np.uint8)
    about = json.dumps(export.about)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as draft, draft.open('wb') as file:
        np.savez(file, program=program, about=about, **export.weights)


def _applied(network: Network, pixels: str):
    """Returns the function that is exported."""
    # One program serves all platforms.
    classifier = Classifier(network, batch_norm_decay=0.0, execution='plain')

    def logits(weights, images, scales=None):
        if pixels == 'uint8':
            images = to_range(images, network.pixel_range)
        outputs = classifier.apply(
            _nested(weights), images, train=False, residual_scale=scales
        )
        return outputs.logits

    return logits


def _images(network: Network, pixels: str) -> jax.ShapeDtypeStruct:
    side = network.input_size
    (batch,) = jax.export.symbolic_shape('b')
    return jax.ShapeDtypeStruct((batch, side, side, 3), jnp.dtype(pixels))


def _by_name(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the variables but for those of the auxiliary head, on the host."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(
        {
            collection: {name: x for name, x in blocks.items() if name != 'auxiliary'}
            for collection, blocks in variables.items()
        }
    )
    return {'/'.join(key.key for key in path): np.asarray(x) for path, x in leaves}


def _nested(weights: Mapping[str, jax.Array]) -> dict[str, Any]:
    variables = {'params': {}, 'batch_stats': {}}
    for name, x in weights.items():
        *path, last = name.split('/')
        tree = variables
        for part in path:
            tree = tree.setdefault(part, {})
        tree[last] = x
    return variables


def _about(network, folded, scale_input, pixels, platforms) -> dict[str, Any]:
    """Returns what who runs the program wants to know of it."""
    return {
        'format': FORMAT,
        'network': network.name,
        'classes': network.classes,
        'input_size': network.input_size,
        'crop_fraction': network.crop_fraction,
        'square_crop': network.square_crop,
        'interpolation': network.interpolation,
        'pixels': pixels,
        'pixel_range': list(network.pixel_range),
        'residual_scales': list(residual_scales(network)),
        'scale_input': scale_input,
        'folded': folded,
        'platforms': list(platforms),
    }


def check_export_options(
    network: Network,
    folded: bool,
    scale_input: bool,
    pixels: str,
    platforms: Sequence[str],
) -> None:
    """Raises ValueError unless options are known and go together."""
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
    if pixels not in PIXELS:
        raise ValueError(f'pixels {pixels!r}; expected {" or ".join(PIXELS)}')
    known = (*PLATFORMS, 'rocm')
    if not platforms or not set(platforms) <= set(known):
        raise ValueError(
            f'platforms {", ".join(platforms) or "none"}; expected one or more of '
            f'{", ".join(known)}'
        )
