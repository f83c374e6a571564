"""Weight files: safetensors, and beside them what they are, in JSON.

The JSON names the network with its fields, the classes in their order, how the weights
came to be, and the SHA-256 of the other file, so that neither is taken for another's.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from inception_jax.data.labels import parse_class_names
from inception_jax.networks.catalogue import choose
from inception_jax.networks.network import Network, fingerprint, residual_scales
from inception_jax.runtime.files import write_atomically, write_json
from inception_jax.runtime.version import VERSION
from inception_jax.weights.files.errors import NotWeights
from inception_jax.weights.files.safetensors import opened
from inception_jax.weights.files.write import save_safetensors
from inception_jax.weights.variables import Entry, read_variables, write_variables

FORMAT = 1
ENDING = '.safetensors'
SEPARATOR = '/'
CONTROLS = set(map(chr, (*range(32), *range(127, 160))))
# The fields of a network that say how it sees images.
PREPROCESSING = (
    'input_size',
    'crop_fraction',
    'square_crop',
    'interpolation',
    'pixel_range',
)


@dataclasses.dataclass(frozen=True)
class WeightInfo:
    """What a weight file says of itself.

    `network` are the arguments of `networks.choose` without the classes, whose names
    `classes` has in their order. `residual_scale` is one number per residual block, or
    None for the network's own. `origin` says how the weights came to be, `licence` what
    may be done with them, None where nobody said.
    """

    network: dict[str, Any]
    classes: tuple[str, ...]
    residual_scale: tuple[float, ...] | None
    origin: dict[str, Any]
    licence: str | None


class WeightFile(NamedTuple):
    """A weight file, not read yet: what stands beside it.

    `fingerprint` is that of the network when it was written, `sha256` of the file.
    """

    path: Path
    about: WeightInfo
    fingerprint: str
    sha256: str


def info_path(path: Path) -> Path:
    """Returns where the JSON of a weight file stands."""
    return path.with_suffix('.json')


def save_weights(path: Path, about: WeightInfo, variables: Mapping[str, Any]) -> None:
    """Writes both files, each in one piece.

    Raises:
      ValueError: the path does not end in .safetensors.
      OSError: they cannot be written.
    """
    check_weight_ending(path)
    network = _value(about)
    with write_atomically(path) as place:
        save_safetensors(place, write_variables(variables, variable_entries(variables)))
        digest = sha256(place)
    section = {n: x for n, x in about.network.items() if n not in PREPROCESSING}
    found = {
        'format': FORMAT,
        'inception_jax': VERSION,
        **dataclasses.asdict(about),
        'network': section,
        'preprocessing': {name: getattr(network, name) for name in PREPROCESSING},
        'fingerprint': fingerprint(network),
        'sha256': digest,
    }
    write_json(info_path(path), found)


def _value(about: WeightInfo) -> Network:
    return choose(**about.network, classes=len(about.classes))


def find_weights(path: Path) -> WeightFile:
    """Returns a weight file with what stands beside it.

    Raises:
      ValueError: nothing does, or it is damaged.
    """
    check_weight_ending(path)
    if not path.exists():
        raise ValueError(f'{path}: there is no such file')
    place = info_path(path)
    try:
        found = json.loads(place.read_text())
    except FileNotFoundError as error:
        raise ValueError(
            f'{place} is not there, which says what {path.name} is; make both with '
            'convert'
        ) from error
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and found.get('format', FORMAT) != FORMAT:
        raise ValueError(f'{place} is of another version of inception_jax')
    try:
        about, digests = _parsed(found), (found['fingerprint'], found['sha256'])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{place} is not that of a weight file, or is damaged'
        ) from error
    return WeightFile(path, about, *digests)


def weight_network(file: WeightFile, name: str | None = None) -> Network:
    """Returns the network of a weight file.

    One of one's own is code: it is imported only if it is named by `name`.

    Raises:
      ValueError: the network is another than `name`, or today another one.
    """
    path, about, wanted, _ = file
    own = about.network['name']
    if name not in (None, own):
        raise ValueError(f'{path} has weights of {own}, not of {name}')
    if name is None and ':' in own:
        raise ValueError(
            f'{path} is of the network {own}, which is code that would run; add '
            f'--network {own} if you trust it'
        )
    try:
        found = _value(about)
        same = fingerprint(found) == wanted
    except (TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ValueError(f'{info_path(path)} names no network ({error})') from error
    if not same:
        raise ValueError(
            f'{path} was made of {own}, which is another network today; take the '
            'version of it, or of inception_jax, that made the file'
        )
    blocks, scales = len(residual_scales(found) or (1.0,)), about.residual_scale
    if scales is not None and len(scales) != blocks:
        raise ValueError(
            f'{info_path(path)} has {len(scales)} residual scales; {own} takes {blocks}'
        )
    return found


def _parsed(found: Mapping[str, Any]) -> WeightInfo:
    fields = {field.name: found[field.name] for field in dataclasses.fields(WeightInfo)}
    seen = {name: found['preprocessing'][name] for name in PREPROCESSING}
    fields['network'] = {**found['network'], **seen}
    fields['network']['name'] = str(found['network']['name'])
    fields['classes'] = parse_class_names(found['classes'])
    if CONTROLS & set(''.join(fields['classes'])):
        raise ValueError('a class that would move a terminal')
    if not re.fullmatch('[0-9a-f]{64}', found['sha256']):
        raise ValueError('no SHA-256')
    scales = found['residual_scale']
    fields['residual_scale'] = None if scales is None else tuple(map(float, scales))
    low, high = seen['pixel_range']
    if not all(map(math.isfinite, (low, high, *(fields['residual_scale'] or ())))):
        raise ValueError('a number that is not finite')
    return WeightInfo(**fields)


def load_weights(
    file: WeightFile, like: Mapping[str, Any], left_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Returns the variables in a weight file, of the names and shapes of `like`.

    Those of the blocks `left_out` are, if the file has them.

    Raises:
      ValueError: it is not the file that its JSON is of, or it has other arrays.
    """
    path = file.path
    try:
        digest = sha256(path)
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror})') from error
    if digest != file.sha256:
        raise ValueError(
            f'{path} is not the file that {info_path(path).name} is of: its SHA-256 is '
            'another; fetch or make both again'
        )

    def ignored(name: str) -> bool:
        return name.split(SEPARATOR)[1:2] in [[block] for block in left_out]

    try:
        with opened(path) as arrays:
            found = read_variables(arrays, variable_entries(like), ignored)
    except NotWeights as error:
        raise ValueError(f'{path} {error}') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    # Without batch norm there are no statistics, but their collection is.
    return {name: {} for name in like} | found


def variable_entries(like: Mapping[str, Any]) -> list[Entry]:
    """Returns the arrays of variables as they stand in a file."""
    return [
        Entry(SEPARATOR.join(path), path, x.shape, x.shape, tuple(range(x.ndim)))
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
        raise ValueError(f'{path} is no weight file; expected FILE{ENDING}')


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
