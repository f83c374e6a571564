"""From files in the layouts of others to files of weights of ours, and back."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from inception_jax.data.labels import imagenet_labels
from inception_jax.networks.catalogue import choose, load
from inception_jax.networks.network import Network, residual_scales
from inception_jax.networks.shapes import measure
from inception_jax.trained import Trained
from inception_jax.weights import own
from inception_jax.weights.files import written
from inception_jax.weights.files.opened import opened, parts
from inception_jax.weights.layouts import head_classes, layout
from inception_jax.weights.normalised import renormalised

# How many classes ImageNet has, by their range.
IMAGENET = range(1000)


class Converted(NamedTuple):
    """Variables, and what their file says of them."""

    about: own.About
    variables: dict[str, Any]


def read(
    path: Path,
    *,
    layout_name: str,
    network: str,
    auxiliary: bool,
    class_names: Sequence[str] | None,
    licence: str | None,
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Converted:
    """Reads a file in a layout; the classes are those of its head.

    A network of one's own, by its path, is read as the one whose name it has, e.g. a
    narrow relative. Without names the 1,000 classes of ImageNet are called by their
    WordNet ids in alphabetical order, which is that of all layouts, and others by their
    numbers. A `normalisation`, mean and standard deviation by channel of pixels from 0
    to 1, is that of the images that the weights are for, if not the layout's.

    Raises:
      ValueError: there is no such file or network, or the file is damaged or of another
        network.
    """
    found = layout(layout_name, load(network).name)
    section = {'name': network, **found.fields}
    if not auxiliary:
        section['auxiliary'] = False
    value = choose(**section)
    with opened(path) as arrays:
        try:
            classes = head_classes(found.module, value, arrays)
            names = _names(layout_name, classes, class_names)
            value = dataclasses.replace(value, classes=len(names))
            variables = found.module.variables(value, arrays)
        except ValueError as error:
            raise ValueError(
                f'{path} as {network} of {layout_name}: {error}'
            ) from error
    if normalisation:
        variables = renormalised(value, variables, *normalisation)
    origin = {
        'layout': layout_name,
        'files': {part.name: own.sha256(part) for part in parts(path)},
    }
    about = own.About(section, names, None, origin, licence)
    return Converted(about, variables)


def of_run(one: Trained, workdir: Path, licence: str | None) -> Converted:
    """Returns the averages of a run as weights."""
    origin = {'run': workdir.name} | {
        name: one.about[name] for name in ('seed', 'step', 'parameters')
    }
    scales = tuple(float(str(scale)) for scale in one.scales)
    if np.array_equal(one.scales, np.float32(residual_scales(one.network))):
        scales = None
    about = own.About(one.section, one.class_names, scales, origin, licence)
    return Converted(about, jax.device_get(one.variables))


def check_export(one: Trained, path: Path, layout_name: str) -> None:
    """Raises ValueError unless weights can be written in the layout of others.

    It has residual scales of its own, and what is only read has two layers for our
    last.
    """
    written.check_ending(path, layout_name)
    module = layout(layout_name, one.network.name).module
    if layout_name == 'facenet' or not hasattr(module, 'arrays'):
        raise ValueError(f'{layout_name} is read only: its embedding is two layers')
    own_scales = residual_scales(one.network) or (1.0,)
    if not np.allclose(one.scales, own_scales):
        raise ValueError(
            f'the weights are of other residual scales than {one.network.name} has in '
            f'{layout_name}, where they would compute something else'
        )
    module.entries(one.network)


def export(one: Trained, path: Path, layout_name: str) -> None:
    """Writes weights in the layout of others.

    Raises:
      OSError: the file cannot be written.
    """
    found = layout(layout_name, one.network.name)
    arrays = found.module.arrays(one.network, jax.device_get(one.variables))
    written.write(path, arrays)


def _names(
    layout_name: str, classes: int, given: Sequence[str] | None
) -> tuple[str, ...]:
    """Returns the names of classes, without a background unless it is named."""
    if layout_name == 'slim' and len(given or IMAGENET) == classes - 1:
        classes -= 1
    if given is None and classes == len(IMAGENET):
        return imagenet_labels()
    if given is None:
        return tuple(map(str, range(classes)))
    if len(given) != classes:
        raise ValueError(
            f'the file has {classes} classes, and {len(given)} are named; name each of '
            'them, a line each'
        )
    return tuple(given)


def text(about: own.About) -> str:
    """Returns what a file of weights is, in words."""
    network = about.value()
    scales = 'its own' if about.residual_scale is None else 'of the run'
    crop = 'the shorter side' if network.square_crop else 'each side'
    low, high = network.pixel_range
    rows = {
        'network': f'{network.name}, {network.classes:,} classes '
        f'({about.classes[0]}, ...)',
        'parameters': f'{_count(network):,}',
        'images': f'{network.input_size} pixels from {low:.4g} to {high:.4g}, '
        f'{100 * network.crop_fraction:.4g} % of {crop}, {network.interpolation}',
        'residual scales': scales,
        'origin': ', '.join(_words(about.origin)),
        'licence': about.licence or 'nobody said',
        'sha256': about.sha256,
    }
    return '\n'.join(f'{name:<16}{value}' for name, value in rows.items())


def _words(origin: Mapping[str, Any]) -> Iterator[str]:
    for name, value in origin.items():
        if isinstance(value, Mapping):
            yield from (f'{file} (SHA-256 {digest})' for file, digest in value.items())
        else:
            yield f'{name} {value}'


def _count(network: Network) -> int:
    gammas = network.batch_norm_gamma
    return sum(
        block.total('params') + gammas * block.total('batch_norm_channels')
        for block in measure(network)
    )
