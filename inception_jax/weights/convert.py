"""Conversion of weights: from files of other libraries and from runs, and back."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from inception_jax.data.labels import imagenet_labels
from inception_jax.networks.catalogue import choose, load
from inception_jax.networks.network import Network
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import warn
from inception_jax.weights.files.open import file_parts, open_arrays
from inception_jax.weights.files.write import check_layout_ending, write_arrays
from inception_jax.weights.input_normalisation import renormalised
from inception_jax.weights.layouts.catalogue import find_layout, head_classes
from inception_jax.weights.layouts.layout import Layout
from inception_jax.weights.trained import Trained, check_head, network_scales
from inception_jax.weights.translation import Arrays
from inception_jax.weights.weight_file import WeightInfo, sha256, variable_entries
from inception_jax.weights.wrappers import unwrap

# The first parts of the names in our own files.
OUR_PREFIXES = ('params/', 'batch_stats/')


class DescribedVariables(NamedTuple):
    """Variables and the description that a weight file has of them."""

    info: WeightInfo
    variables: dict[str, Any]


class LayoutFile(NamedTuple):
    """A file that was written in the layout of another library."""

    path: Path
    layout: str
    arrays: int

    def __str__(self) -> str:
        return (
            f'{self.path}: {self.arrays:,} arrays by the names of {self.layout}\n'
            'The file has no class names, input size, crop or pixel range; keep the '
            'source for them.'
        )


def read_layout_file(
    path: Path,
    layout: str,
    network: str,
    *,
    auxiliary: bool = False,
    class_names: Sequence[str] | None = None,
    normalised: tuple[Sequence[float], Sequence[float]] | None = None,
    licence: str | None = None,
    raw: bool = False,
    trunk: bool = False,
) -> DescribedVariables:
    """Reads a file in the layout of another library; its head gives the classes.

    Args:
      layout: a name of `LAYOUTS`.
      network: the name of the network, or the path of a network of your own, which is
        read as the network whose name it has, e.g. a narrow relative.
      auxiliary: whether to keep the auxiliary head.
      class_names: the names of the classes. By default 1,000 classes are ImageNet's, by
        their WordNet ids in alphabetical order as in all layouts; others are numbered.
      normalised: the mean and standard deviation by channel, of pixels from 0 to 1, by
        which images were normalised for these weights, if not as the layout says.
      licence: what may be done with the weights.
      raw: whether to use raw weights although the file has EMA weights.
      trunk: whether to leave out the head of the file, so that the weights serve
        features and fine-tuning only.

    Raises:
      ValueError: there is no such file or network, or the file is damaged or belongs to
        another network.
    """
    network_layout = find_layout(layout, load(network).name)
    section = {'name': network, **network_layout.fields}
    if not auxiliary:
        section['auxiliary'] = False
    value, reader = choose(**section), network_layout.layout
    with open_arrays(path) as arrays:
        try:
            inside = unwrap(arrays, reader.entries(value), raw=raw)
            left_out = list(inside.left_out)
            if trunk:
                names = ()
                variables, head = reader.trunk_variables(value, inside.arrays)
                left_out += head
            else:
                classes = head_classes(reader, value, inside.arrays)
                names = _name_classes(classes, class_names, background=layout == 'slim')
                value = dataclasses.replace(value, classes=len(names))
                variables = _whole_variables(reader, value, inside.arrays)
        except ValueError as error:
            if all(name.startswith(OUR_PREFIXES) for name in arrays):
                raise ValueError(
                    f'{path} is a weight file already; see --to (to=)'
                ) from error
            raise ValueError(f'{path} as {network} of {layout}: {error}') from error
    if left_out:
        warn(f'{path}: left out {_count_and_examples(left_out)}')
    origin = {
        'layout': layout,
        'files': {part.name: sha256(part) for part in file_parts(path)},
    }
    if inside.weights:
        origin['weights'] = inside.weights
    if normalised:
        variables = renormalised(value, variables, *normalised)
        origin['normalised'] = normalised
    info = WeightInfo(section, names, None, origin, licence)
    return DescribedVariables(info, variables)


def _whole_variables(
    layout: Layout, network: Network, arrays: Arrays
) -> dict[str, Any]:
    """Returns the variables of a network; an error says so if only its head is wrong.

    Raises:
      ValueError: arrays are missing, not expected, or of another shape or type.
    """
    try:
        return layout.variables(network, arrays)
    except ValueError as error:
        if not layout.lacks_only_head(network, arrays):
            raise
        raise ValueError(
            f'{error}; the trunk is whole: --trunk (trunk=True) converts it without '
            'the head'
        ) from error


def _count_and_examples(names: Sequence[str]) -> str:
    count = counted(len(names), 'array')
    return f'{count}: {", ".join(names[:3])}{", ..." if len(names) > 3 else ""}'


def _name_classes(
    count: int, class_names: Sequence[str] | None, *, background: bool
) -> tuple[str, ...]:
    """Returns a name for each class of a head.

    With `background` the first class of the head is left out if it is not named.

    Raises:
      ValueError: `class_names` has more names or fewer.
    """
    imagenet = imagenet_labels()
    if background and len(class_names or imagenet) == count - 1:
        count -= 1
    if class_names is None:
        return imagenet if count == len(imagenet) else tuple(map(str, range(count)))
    if len(set(class_names)) < len(class_names):
        twice = next(n for n in class_names if list(class_names).count(n) > 1)
        raise ValueError(
            f'class_names names {twice} twice; classes need distinct names'
        )
    if len(class_names) != count:
        raise ValueError(
            f'the file has {counted(count, "class", "classes")}, and class_names has '
            f'{counted(len(class_names), "name")}; name each class once, one a line'
        )
    return tuple(class_names)


def describe_trained(trained: Trained, licence: str | None) -> DescribedVariables:
    """Returns the variables of a run, its EMA weights, with their description."""
    scales = tuple(float(str(scale)) for scale in trained.scales)
    if _has_network_scales(trained):
        scales = None
    info = WeightInfo(
        trained.section, trained.class_names, scales, trained.origin, licence
    )
    return DescribedVariables(info, jax.device_get(trained.variables))


def check_layout_export(trained: Trained, path: Path, layout: str) -> None:
    """Raises ValueError unless the library of a layout computes the same with weights.

    The library fixes residual scales, pixel range and epsilon, and has no place for
    any variables but those of its networks.
    """
    check_layout_ending(path, layout)
    check_head(trained)
    network, original = trained.network, load(trained.network.name)
    network_layout = find_layout(layout, network.name)
    if not network_layout.is_writable:
        raise ValueError(f'{layout} is read only: its embedding is two layers')
    fields = {'pixel_range': original.pixel_range, **network_layout.fields}
    for field in ('pixel_range', 'batch_norm_epsilon'):
        expected = fields.get(field, getattr(original, field))
        if getattr(network, field) != expected:
            raise ValueError(
                f'the weights belong to a network with {field} '
                f'{getattr(network, field)}, and {layout} has {expected}, with which '
                'they would compute something else'
            )
    if not _has_network_scales(trained):
        raise ValueError(
            f'the weights belong to other residual scales than those of {network.name} '
            f'in {layout}, where they would compute something else'
        )
    paths = {entry.path for entry in network_layout.layout.entries(network)}
    entries = variable_entries(trained.variables)
    extra = [entry.name for entry in entries if entry.path not in paths]
    if extra:
        raise ValueError(
            f'{layout} has no place for {len(extra)} of the variables: '
            f'{", ".join(extra[:5])}'
        )


def _has_network_scales(trained: Trained) -> bool:
    return np.allclose(trained.scales, network_scales(trained.network), rtol=1e-6)


def write_layout_file(trained: Trained, path: Path, layout: str) -> LayoutFile:
    """Writes weights in the layout of another library, after `check_layout_export`.

    Raises:
      OSError: the file cannot be written.
    """
    writer = find_layout(layout, trained.network.name).layout
    arrays = writer.arrays(trained.network, jax.device_get(trained.variables))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(path, arrays)
    return LayoutFile(path, layout, len(arrays))
