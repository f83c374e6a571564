"""Weight files: NAME.safetensors with the variables, and NAME.json with their origin.

The JSON has the network with its fields, the classes in their order, the origin of the
weights, and the SHA-256 of the other file, so that two files that do not belong
together are never read together.
"""

import dataclasses
import hashlib
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inception_jax.data.labels import parse_class_names
from inception_jax.model.initializers import initial_variables
from inception_jax.networks.catalogue import NETWORKS, choose
from inception_jax.networks.images import IMAGE_FIELDS
from inception_jax.networks.network import Network, fingerprint, residual_scales
from inception_jax.networks.shapes import measure
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_atomically, write_json
from inception_jax.runtime.json_files import misfit, parse_json
from inception_jax.runtime.messages import printable
from inception_jax.runtime.paths import local_path
from inception_jax.runtime.version import VERSION
from inception_jax.weights.files.errors import NotWeights
from inception_jax.weights.files.safetensors import open_safetensors
from inception_jax.weights.files.write import write_safetensors
from inception_jax.weights.translation import (
    ArrayEntry,
    read_variables,
    write_variables,
)

FORMAT = 1
ENDING = '.safetensors'
SEPARATOR = '/'
# The blocks that a trunk lacks, which convert writes with --trunk.
HEAD = ('logits',)
KEYS = {
    'network': Mapping,
    'classes': list[str],
    'residual_scale': list[float] | None,
    'origin': Mapping,
    'licence': str | None,
    'preprocessing': Mapping,
    'fingerprint': str,
    'sha256': str,
}
CONTROLS = set(map(chr, (*range(32), *range(127, 160))))
# The fields in which a network may differ from the catalogue's of the same name.
FIELDS = (*IMAGE_FIELDS, 'dropout', 'batch_norm_gamma', 'batch_norm_epsilon')


@dataclasses.dataclass(frozen=True)
class WeightInfo:
    """The description of weights, which the JSON of a weight file holds.

    `network` has the arguments of `choose` without the classes; `classes` has the names
    of the classes in their order, none if the file has no head. `residual_scale` is one
    number for each residual block, None for the network's own. `origin` says where the
    weights come from, `licence` what may be done with them (None: unknown).
    """

    network: dict[str, Any]
    classes: tuple[str, ...]
    residual_scale: tuple[float, ...] | None
    origin: dict[str, Any]
    licence: str | None

    def build(self) -> Network:
        """Returns the network.

        Raises:
          ValueError: there is no such network.
        """
        return choose(**self.network, classes=len(self.classes) or 1)


class WeightFile(NamedTuple):
    """A weight file and its description; the weights themselves are not read yet.

    `fingerprint` is that of the network when the file was written, `sha256` the digest
    of the file. `str(file)` is a table of the description.
    """

    path: Path
    info: WeightInfo
    fingerprint: str
    sha256: str

    def __str__(self) -> str:
        info, network = self.info, _imported_network(self)
        name, classes = info.network['name'], info.classes
        images = {field: info.network[field] for field in IMAGE_FIELDS}
        crop = 'the shorter side' if images['square_crop'] else 'each side'
        low, high = images['pixel_range']
        rows = {
            'network': f'{network.name if network else name}, '
            + (
                f'{counted(len(classes), "class", "classes")} ({classes[0]}, ...)'
                if classes
                else 'no head'
            ),
            'parameters': f'{_parameters(self, network):,}' if network else 'unknown',
            'images': f'{images["input_size"]} pixels from {low:.4g} to {high:.4g}, '
            f'{100 * images["crop_fraction"]:.4g} % of {crop}, '
            f'{images["interpolation"]}',
            'residual scales': 'of the network'
            if info.residual_scale is None
            else 'of the run',
            'origin': ', '.join(_origin_parts(info.origin)),
            'licence': info.licence or 'unknown',
            'sha256': self.sha256,
        }
        return '\n'.join(
            f'{name:<16}{printable(value)}' for name, value in rows.items()
        )


def _parameters(file: WeightFile, network: Network) -> int:
    """Returns the number of parameters in a file, which may lack the head."""
    without = () if file.info.classes else HEAD
    return sum(
        block.total('params') for block in measure(network) if block.name not in without
    )


def _imported_network(file: WeightFile) -> Network | None:
    """Returns the network of a file, None if its code has changed or is not imported.

    Printing a file must not run the code of a network of your own.
    """
    name = file.info.network['name']
    is_imported = name.partition(':')[0] in sys.modules
    try:
        return weight_network(file, name if is_imported else None)
    except ValueError:
        return None


def _origin_parts(origin: Mapping[str, Any]) -> Iterator[str]:
    for name, value in origin.items():
        if isinstance(value, Mapping):
            yield from (f'{file} (SHA-256 {digest})' for file, digest in value.items())
        else:
            yield f'{name} {value}'


def info_path(path: Path) -> Path:
    """Returns the path of the JSON of a weight file."""
    return path.with_suffix('.json')


def save_weights(
    path: str | Path,
    network: Network | str | Mapping[str, Any],
    variables: Mapping[str, Any],
    *,
    class_names: Sequence[str] | None = None,
    residual_scale: Sequence[float] | None = None,
    origin: Mapping[str, Any] | None = None,
    licence: str | None = None,
) -> WeightFile:
    """Writes a weight file, PATH.safetensors with PATH.json beside it.

    Args:
      network: a network of the catalogue, also with other fields such as `input_size`,
        or its name. For any other network, a config's section `network`, e.g.
        `{'name': 'inception_v4', 'width': 0.5}` or `{'name': 'my_lab.nets:NET'}`.
      variables: `params` and `batch_stats` of the classifier.
      class_names: one name for each class, 0, 1, ... by default.
      residual_scale: one number for each residual block, if they are not the network's.
      origin: where the weights come from, as JSON values.
      licence: what may be done with the weights.

    Raises:
      ValueError: the path does not end in .safetensors, the network cannot be described
        by name, or classes or variables do not fit the network.
      OSError: a file cannot be written.

    >>> import tempfile
    >>> path = f'{tempfile.mkdtemp()}/small.safetensors'
    >>> small = {'name': 'inception_v4', 'width': 0.02, 'depth': 0.1, 'input_size': 75}
    >>> import inception_jax as ij
    >>> from inception_jax.networks import choose
    >>> variables = ij.init(choose(**small, classes=10))
    >>> save_weights(path, small, variables, licence='MIT').info.licence
    'MIT'
    >>> ij.load_weights(path).network.classes
    10
    """
    path, section = local_path(path), _section(network)
    check_weight_ending(path)
    classes = _class_count(variables)
    names = tuple(class_names or map(str, range(classes)))
    if len(names) != classes:
        raise ValueError(
            f'{counted(len(names), "class name")} for '
            f'{counted(classes, "class", "classes")}; name each class once'
        )
    scales = None if residual_scale is None else tuple(map(float, residual_scale))
    info = WeightInfo(section, names, scales, dict(origin or {}), licence)
    value = info.build()
    _check_scales(value, scales, 'residual_scale')
    expected = variable_entries(initial_variables(value, seed=0, scheme='zeros'))
    arrays = write_variables(variables, variable_entries(variables))
    try:
        read_variables(arrays, expected, lambda name: False)
    except ValueError as error:
        raise ValueError(
            f'the variables are not those of {value.name}: {error}'
        ) from error
    write_weight_file(path, info, variables)
    return find_weights(path)


def _section(network: Network | str | Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `choose` that give a network, without its classes.

    Raises:
      ValueError: the network is neither one of the catalogue nor differs from one in
        `FIELDS` and the auxiliary head only.
    """
    if isinstance(network, str):
        return {'name': network}
    if not isinstance(network, Network):
        return {name: x for name, x in network.items() if name != 'classes'}
    section = {'name': network.name}
    if known := NETWORKS.get(network.name):
        values = {name: getattr(network, name) for name in FIELDS}
        section |= {n: x for n, x in values.items() if x != getattr(known, n)}
        if known.auxiliary and not network.auxiliary:
            section['auxiliary'] = False
    if not known or choose(**section, classes=network.classes) != network:
        raise ValueError(
            f"{network.name} differs from the network of that name; give a config's "
            "section network, e.g. {'name': 'inception_v4', 'width': 0.5}, or the "
            'section of a loaded network, trained.section'
        )
    return section


def _class_count(variables: Mapping[str, Any]) -> int:
    try:
        return variables['params']['logits']['dense0']['bias'].shape[0]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            'the variables have no logits; expected params and batch_stats of the '
            'classifier'
        ) from error


def write_weight_file(
    path: Path, info: WeightInfo, variables: Mapping[str, Any]
) -> None:
    """Writes both files of a weight file, each completely or not at all.

    Raises:
      ValueError: the path does not end in .safetensors.
      OSError: a file cannot be written.
    """
    check_weight_ending(path)
    network, entries = info.build(), variable_entries(variables)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as draft:
        write_safetensors(draft, write_variables(variables, entries))
        digest = sha256(draft)
    section = {n: x for n, x in info.network.items() if n not in IMAGE_FIELDS}
    content = {
        'format': FORMAT,
        'inception_jax': VERSION,
        **dataclasses.asdict(info),
        'network': section,
        'preprocessing': dataclasses.asdict(network.images),
        'fingerprint': fingerprint(network),
        'sha256': digest,
    }
    write_json(info_path(path), content)


def find_weights(path: str | Path) -> WeightFile:
    """Returns a weight file with its description, without reading the weights.

    Raises:
      ValueError: one of the two files is missing, or the JSON is damaged.
    """
    path = local_path(path)
    check_weight_ending(path)
    if not path.exists():
        raise ValueError(f'{path} does not exist')
    json_path = info_path(path)
    try:
        content = parse_json(json_path.read_bytes())
    except FileNotFoundError as error:
        raise ValueError(
            f'{json_path} is missing, which describes {path.name}; make both with '
            'convert'
        ) from error
    except ValueError:
        content = None
    if isinstance(content, dict) and content.get('format', FORMAT) != FORMAT:
        raise ValueError(f'{json_path} was written by another version of inception_jax')
    try:
        info = _parse_info(content)
        return WeightFile(path, info, content['fingerprint'], content['sha256'])
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(
            f'{json_path} does not describe a weight file, or is damaged ({error})'
        ) from error


def weight_network(file: WeightFile, name: str | None = None) -> Network:
    """Returns the network of a weight file.

    A network of your own is code: it is imported only if `name` names it.

    Raises:
      ValueError: the network has another name than `name`, does not exist, or has
        changed since the file was written.
    """
    path, info, written_fingerprint, _ = file
    file_name = info.network['name']
    if name not in (None, file_name):
        raise ValueError(f'{path} has weights of {file_name}, not of {name}')
    if name is None and ':' in file_name:
        raise ValueError(
            f'{path} belongs to the network {file_name}, which is code that would run; '
            f'add --network {file_name} (network=) if you trust it'
        )
    try:
        network = info.build()
        is_same = fingerprint(network) == written_fingerprint
    except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ValueError(f'{info_path(path)} names no network ({error})') from error
    if not is_same:
        raise ValueError(
            f'{path} was made with {file_name}, which is another network today; use '
            'the version of it, or of inception_jax, that made the file'
        )
    _check_scales(network, info.residual_scale, str(info_path(path)), file_name)
    return network


def _check_scales(
    network: Network,
    scales: Sequence[float] | None,
    holder: str,
    name: str | None = None,
) -> None:
    """Raises ValueError unless there is a scale for each residual block."""
    blocks = len(residual_scales(network) or (1.0,))
    if scales is not None and len(scales) != blocks:
        raise ValueError(
            f'{holder} has {len(scales)} residual scales; {name or network.name} takes '
            f'{blocks}'
        )


def _parse_info(content: Mapping[str, Any]) -> WeightInfo:
    if reason := misfit(content, KEYS):
        raise ValueError(reason)
    fields = {
        field.name: content[field.name] for field in dataclasses.fields(WeightInfo)
    }
    images = {name: content['preprocessing'][name] for name in IMAGE_FIELDS}
    fields['network'] = {**content['network'], **images}
    fields['network']['name'] = str(content['network']['name'])
    no_head = content['classes'] == []
    fields['classes'] = () if no_head else parse_class_names(content['classes'])
    if CONTROLS & set(''.join(fields['classes'])):
        raise ValueError('a class name with control characters')
    if not re.fullmatch('[0-9a-f]{64}', content['sha256']):
        raise ValueError('no SHA-256')
    scales = content['residual_scale']
    fields['residual_scale'] = None if scales is None else tuple(map(float, scales))
    low, high = images['pixel_range']
    if not all(map(math.isfinite, (low, high, *(fields['residual_scale'] or ())))):
        raise ValueError('a number that is not finite')
    return WeightInfo(**fields)


def load_variables(
    file: WeightFile, like: Mapping[str, Any], left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Returns the variables of a weight file, with the names and shapes of `like`.

    `left_out` names blocks that the file may have and `like` has not.

    Raises:
      ValueError: the file is not the one that its JSON describes, or has other arrays.
    """
    path = file.path
    try:
        digest = sha256(path)
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror})') from error
    if digest != file.sha256:
        raise ValueError(
            f'{path} is not the file that {info_path(path).name} describes: its '
            'SHA-256 differs; download or make both again'
        )

    def is_ignored(name: str) -> bool:
        return name.split(SEPARATOR)[1:2] in [[block] for block in left_out]

    try:
        with open_safetensors(path) as arrays:
            variables = read_variables(arrays, variable_entries(like), is_ignored)
    except NotWeights as error:
        raise ValueError(f'{path} {error}') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    # Without batch norm there are no statistics, but their collection must exist.
    return {name: {} for name in like} | variables


def variable_entries(like: Mapping[str, Any]) -> list[ArrayEntry]:
    """Returns the entries of variables in a weight file: params/stem/conv0/bias."""
    return [
        ArrayEntry(SEPARATOR.join(path), path, x.shape, x.shape, tuple(range(x.ndim)))
        for path, x in _leaves(like, ())
    ]


def _leaves(tree: Mapping, path: tuple[str, ...]) -> Iterator[tuple[tuple, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def check_weight_ending(path: Path) -> None:
    """Raises ValueError unless a path can be that of a weight file."""
    if path.suffix != ENDING:
        raise ValueError(f'{path} is not a weight file; expected FILE{ENDING}')


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
