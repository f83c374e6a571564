"""From files in the layouts of others to weight files, and back."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from inception_jax.data.labels import imagenet_labels
from inception_jax.networks.catalogue import choose, load
from inception_jax.networks.describe.table import summary
from inception_jax.weights import weight_file
from inception_jax.weights.files import write
from inception_jax.weights.files.open import file_parts, open_arrays
from inception_jax.weights.input_normalisation import renormalised
from inception_jax.weights.layouts.catalogue import head_classes, layout
from inception_jax.weights.trained import Trained, network_scales

# What the names in our own files begin with.
OURS = ('params/', 'batch_stats/')


class Converted(NamedTuple):
    """Variables, and what their file says of them."""

    about: weight_file.WeightInfo
    variables: dict[str, Any]


class ForeignFile(NamedTuple):
    """A file in a layout: of which network, and what it does not say itself.

    The `auxiliary` head is kept or left out. Without `class_names` the 1,000 classes of
    ImageNet are called by their WordNet ids in alphabetical order, which is that of all
    layouts, and others by their numbers. A `normalisation`, mean and standard deviation
    by channel of pixels from 0 to 1, is that of the images that the weights are for, if
    not the layout's.
    """

    path: Path
    layout: str
    network: str
    auxiliary: bool = False
    class_names: Sequence[str] | None = None
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None
    licence: str | None = None


def read_foreign(source: ForeignFile) -> Converted:
    """Reads a file in a layout; the classes are those of its head.

    A network of one's own, by its path, is read as the one whose name it has, e.g. a
    narrow relative.

    Raises:
      ValueError: there is no such file or network, or the file is damaged or of another
        network.
    """
    path, found = source.path, layout(source.layout, load(source.network).name)
    section = {'name': source.network, **found.fields}
    if not source.auxiliary:
        section['auxiliary'] = False
    value, imagenet = choose(**section), imagenet_labels()
    with open_arrays(path) as arrays:
        try:
            classes = head_classes(found.module, value, arrays)
            names = _names(source, classes, imagenet)
            value = dataclasses.replace(value, classes=len(names))
            variables = found.module.variables(value, arrays)
        except ValueError as error:
            if all(name.startswith(OURS) for name in arrays):
                raise ValueError(
                    f'{path} is a weight file already; see --to'
                ) from error
            raise ValueError(
                f'{path} as {source.network} of {source.layout}: {error}'
            ) from error
    origin = {
        'layout': source.layout,
        'files': {part.name: weight_file.sha256(part) for part in file_parts(path)},
    }
    if source.normalisation:
        variables = renormalised(value, variables, *source.normalisation)
        origin['normalised'] = source.normalisation
    about = weight_file.WeightInfo(section, names, None, origin, source.licence)
    return Converted(about, variables)


def convert_run(one: Trained, licence: str | None) -> Converted:
    """Returns the averages of a run as weights."""
    scales = tuple(float(str(scale)) for scale in one.scales)
    if _has_own_scales(one):
        scales = None
    about = weight_file.WeightInfo(
        one.section, one.class_names, scales, one.origin, licence
    )
    return Converted(about, jax.device_get(one.variables))


def check_layout_export(one: Trained, path: Path, layout_name: str) -> None:
    """Raises ValueError unless the code of a layout computes the same of weights.

    It has numbers of its own, and knows no other variables.
    """
    write.check_layout_ending(path, layout_name)
    found = layout(layout_name, one.network.name)
    if not found.writes:
        raise ValueError(f'{layout_name} is read only: its embedding is two layers')
    theirs = load(one.network.name)
    fields = {'pixel_range': theirs.pixel_range, **found.fields}
    for field in ('pixel_range', 'batch_norm_epsilon'):
        wanted = fields.get(field, getattr(theirs, field))
        if getattr(one.network, field) != wanted:
            raise ValueError(
                f'the weights are of a network with {field} '
                f'{getattr(one.network, field)}, and {layout_name} has {wanted}, with '
                'which they would compute something else'
            )
    if not _has_own_scales(one):
        raise ValueError(
            f'the weights are of other residual scales than {one.network.name} has in '
            f'{layout_name}, where they would compute something else'
        )
    known = {entry.path for entry in found.module.entries(one.network)}
    odd = [
        e.name
        for e in weight_file.variable_entries(one.variables)
        if e.path not in known
    ]
    if odd:
        raise ValueError(
            f'{layout_name} has no place for {len(odd)} of the variables: '
            f'{", ".join(odd[:5])}'
        )


def _has_own_scales(one: Trained) -> bool:
    return np.allclose(one.scales, network_scales(one.network), rtol=1e-6)


def export_layout(one: Trained, path: Path, layout_name: str) -> int:
    """Writes weights in the layout of others, and returns how many arrays they are.

    Raises:
      OSError: the file cannot be written.
    """
    found = layout(layout_name, one.network.name)
    arrays = found.module.arrays(one.network, jax.device_get(one.variables))
    write.write_arrays(path, arrays)
    return len(arrays)


def _names(
    source: ForeignFile, classes: int, imagenet: tuple[str, ...]
) -> tuple[str, ...]:
    """Returns the names of so many classes, less a background that is not named."""
    given = source.class_names
    if source.layout == 'slim' and len(given or imagenet) == classes - 1:
        classes -= 1
    if given is None and classes == len(imagenet):
        return imagenet
    if given is None:
        return tuple(map(str, range(classes)))
    if len(given) != classes:
        raise ValueError(
            f'the file has {classes} classes, and {len(given)} are named; name each of '
            'them, a line each'
        )
    return tuple(given)


def weights_text(file: weight_file.WeightFile) -> str:
    """Returns what a weight file is, in words."""
    about, network = (
        file.about,
        weight_file.weight_network(file, file.about.network['name']),
    )
    scales = 'its own' if about.residual_scale is None else 'of the run'
    crop = 'the shorter side' if network.square_crop else 'each side'
    low, high = network.pixel_range
    rows = {
        'network': f'{network.name}, {network.classes:,} classes '
        f'({about.classes[0]}, ...)',
        'parameters': f'{summary(network)["params"]:,}',
        'images': f'{network.input_size} pixels from {low:.4g} to {high:.4g}, '
        f'{100 * network.crop_fraction:.4g} % of {crop}, {network.interpolation}',
        'residual scales': scales,
        'origin': ', '.join(_words(about.origin)),
        'licence': about.licence or 'nobody said',
        'sha256': file.sha256,
    }
    return '\n'.join(f'{name:<16}{value}' for name, value in rows.items())


def _words(origin: Mapping[str, Any]) -> Iterator[str]:
    for name, value in origin.items():
        if isinstance(value, Mapping):
            yield from (f'{file} (SHA-256 {digest})' for file, digest in value.items())
        else:
            yield f'{name} {value}'
