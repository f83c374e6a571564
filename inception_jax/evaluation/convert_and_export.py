"""Converts and exports trained networks that are named by path: runs and files."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.runtime import choices
from inception_jax.runtime.paths import local_path
from inception_jax.training.states import trained_run
from inception_jax.weights.convert import (
    LayoutFile,
    check_layout_export,
    describe_trained,
    read_layout_file,
    write_layout_file,
)
from inception_jax.weights.export import (
    Export,
    export_network,
    export_trained,
    read_export,
    save_export,
)
from inception_jax.weights.layouts.catalogue import LAYOUTS
from inception_jax.weights.trained import Trained, load_weights
from inception_jax.weights.weight_file import (
    WeightFile,
    check_weight_ending,
    find_weights,
    info_path,
    write_weight_file,
)


def convert(
    source: str | Path | Trained,
    output: str | Path,
    *,
    layout: str | None = None,
    to: str | None = None,
    network: str | None = None,
    step: int | None = None,
    auxiliary: bool = False,
    class_names: Sequence[str] | None = None,
    normalised: tuple[Sequence[float], Sequence[float]] | None = None,
    licence: str | None = None,
    raw: bool = False,
    trunk: bool = False,
) -> WeightFile | LayoutFile:
    """Converts weights: a file of another library or a run to a weight file, or back.

    Args:
      source: with `layout` a file of another library; with `to` a weight file or a run;
        with neither a run, whose EMA weights are converted. A run is named by its
        folder.
      output: FILE.safetensors; with `to='keras'` also FILE.h5. It must not exist.
      layout: the layout of `source`: slim, facenet, keras, timm, torchvision or
        facenet_pytorch.
      to: the layout of `output`.
      network: the name of the network; needed with `layout`.
      step: of a run: the step of the weights, by default that of the newest checkpoint.
      auxiliary: with `layout`: whether to keep the auxiliary head, to train on.
      class_names: with `layout`: the names of the classes in their order. By default
        1,000 classes are ImageNet's, and others are numbered.
      normalised: with `layout`: (mean, std) by channel, if the weights expect images
        (x - mean) / std of x from 0 to 1 and not those of the layout.
      licence: what may be done with the weights.
      raw: whether to use the raw weights of a run, or of a file that also has EMA
        weights.
      trunk: with `layout`: whether to leave out the head of the file, whatever its
        layers are. The weights then serve features and fine-tuning only.

    Returns:
      The file that was written; `print` shows its description.

    Raises:
      ValueError: an option is wrong, `source` does not exist, is damaged or belongs to
        another network, or `output` exists.
      OSError: the output cannot be written.

    >>> import tempfile
    >>> import inception_jax as ij
    >>> from inception_jax.networks import choose
    >>> folder = tempfile.mkdtemp()
    >>> small = {'name': 'inception_v4_slim', 'width': 0.1, 'depth': 0.01}
    >>> small |= {'auxiliary': False, 'input_size': 75}
    >>> variables = ij.init(choose(**small, classes=3))
    >>> ours = ij.save_weights(f'{folder}/small.safetensors', small, variables)
    >>> theirs = convert(ours.path, f'{folder}/slim.safetensors', to='slim')
    >>> theirs.layout, theirs.arrays
    ('slim', 194)
    """
    for name, value in (('layout', layout), ('to', to)):
        if value:
            choices.check(name, value, LAYOUTS)
    output = local_path(output)
    is_run = isinstance(source, Trained) or local_path(source).is_dir()
    of_layout = {
        'auxiliary': auxiliary,
        'class_names': class_names,
        'normalised': normalised,
        'trunk': trunk,
    }
    if step is not None and not is_run:
        raise ValueError(f'{source} is no run and has no steps; leave out step {step}')
    if trunk and (auxiliary or class_names):
        raise ValueError(
            'trunk (--trunk) leaves out the heads; leave out auxiliary (--auxiliary) '
            'and class_names (--class-names)'
        )
    if layout:
        _check_layout_options(network, to, normalised)
    else:
        _check_options_of_ours(source, is_run, to, of_layout)
        if raw and not is_run:
            raise ValueError(f'{source} is no run; leave out raw (--raw)')
    if to:
        if licence:
            raise ValueError(
                'a licence is part of weight files only; leave it out with a layout of '
                'the output (--to)'
            )
        refuse_existing(output)
        trained = _open(source, network, step, raw)
        check_layout_export(trained, output, to)
        return write_layout_file(trained, output, to)
    check_weight_ending(output)
    refuse_existing(output)
    refuse_existing(info_path(output))
    if layout:
        with _read_errors_as_mistakes(source):
            described = read_layout_file(
                Path(source), layout, network, **of_layout, raw=raw, licence=licence
            )
    else:
        described = describe_trained(_open(source, network, step, raw), licence)
    write_weight_file(output, *described)
    return find_weights(output)


def _check_layout_options(network, to, normalised) -> None:
    """Raises ValueError unless the options describe a file of another library."""
    if to:
        raise ValueError(
            'give the layout of the input (--from) or of the output (--to), not both'
        )
    if not network:
        raise ValueError(
            'a file in a layout (--from) needs the name of its network; add --network '
            'NAME (network=)'
        )
    if normalised and min(normalised[1]) <= 0:
        raise ValueError(
            'normalised (--normalised) has a STD of 0 or below; expected positive '
            'numbers'
        )


def _check_options_of_ours(source, is_run, to, of_layout) -> None:
    """Raises ValueError unless the options describe a run or a weight file."""
    for name, value in of_layout.items():
        if value:
            raise ValueError(
                f'{name} goes with the layout of the input (--from); leave it out'
            )
    if not (to or is_run):
        raise ValueError(
            f'{source} is not the folder of a run; give the layout of a file (--from) '
            'or, for a weight file, the layout of the output (--to)'
        )


def refuse_existing(path: Path, other_advice: str = '') -> None:
    """Raises ValueError if a path exists."""
    if path.exists():
        raise ValueError(f'{path} exists already; name another output{other_advice}')


def export(
    source: str | Path | Trained,
    output: str | Path,
    *,
    network: str | None = None,
    renew: bool = False,
    **options,
) -> Export:
    """Exports a trained network as one file that jax runs without this package.

    JAX reads the file for about six months. `print` of the result has the date.

    Args:
      source: the folder of a run, a weight file, or the value of `ij.trained`.
      output: FILE.npz; it must not exist, unless `renew` is set.
      renew: whether to replace `output`, an export of the same network.
      network: the name that the network must have; needed for a network of your own.
      options: `folded`, `scale_input`, `pixels` and `platforms` of `export_network`.

    Returns:
      The program, its weights and its metadata; `print` says how to call the program.

    Raises:
      ValueError: the source or an option is wrong, or the output exists.
      OSError: the output cannot be written.

    >>> export('missing.safetensors', 'v4.npz')
    Traceback (most recent call last):
      ...
    ValueError: missing.safetensors does not exist
    """
    output = local_path(output)
    trained = _open(source, network)
    check_export_path(output, renewed=(trained, options) if renew else None)
    exported = export_trained(trained, **options)
    save_export(output, exported)
    return exported


def check_export_path(
    path: Path, *, renewed: tuple[Trained, Mapping[str, Any]] | None = None
) -> None:
    """Raises ValueError unless an export can be written to a path.

    Args:
      renewed: the network whose export at the path is to be replaced, and the options
        of the new one, if any.
    """
    if path.suffix != '.npz':
        raise ValueError(f'{path} is not a file of a program; expected FILE.npz')
    if renewed is None:
        refuse_existing(path, ', or replace an export of the same network by --renew')
        return
    trained, options = renewed
    names, defaults = list(trained.class_names), export_network.__kwdefaults__
    now = {**trained.metadata, 'class_names': names, **defaults, **options}
    before, _ = read_export(path)
    for field, value in json.loads(json.dumps(now)).items():
        if before.get(field) != value:
            raise ValueError(
                f'{path} is an export with {field} {before.get(field)!r:.60}, and the '
                f'new one has {value!r:.60}; export the same again, or name another '
                'output, without --renew'
            )


def _open(
    source: str | Path | Trained,
    network: str | None,
    step: int | None = None,
    raw: bool = False,
) -> Trained:
    if isinstance(source, Trained):
        if network not in (None, source.section['name']):
            raise ValueError(
                f'the network is {source.section["name"]}, not {network}; leave out '
                'the name'
            )
        if step is not None or raw:
            raise ValueError('the network is open already; leave out step and raw')
        return source
    path = local_path(source)
    with _read_errors_as_mistakes(source):
        if path.is_dir():
            return trained_run(path, step, network, raw=raw)
        return load_weights(path, network)


@contextlib.contextmanager
def _read_errors_as_mistakes(source: str | Path) -> Iterator[None]:
    """Raises ValueError for an OSError, which callers expect of the output alone."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f'{source} cannot be read ({error.strerror or error})'
        ) from error
