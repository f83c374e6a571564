"""The identity of a run: the config, network, data and weights a resume must match."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inception_jax.config.experiment import MAY_CHANGE_ON_RESUME, completed
from inception_jax.config.overrides import flatten
from inception_jax.data.content import check_same_images, source_difference
from inception_jax.networks.network import Network, fingerprint
from inception_jax.runs.records import read_records
from inception_jax.runs.run import Run, steps_done
from inception_jax.runs.workdir import CONFIG, is_run, is_sweep
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import warn_once
from inception_jax.runtime.numeric_settings import DEFAULTS, numeric_settings
from inception_jax.runtime.version import VERSION


def run_identity(
    network: Network,
    config: Mapping[str, Any],
    data: Mapping,
    replicas: int,
    weights: str | None,
) -> dict:
    """Returns the identity of a run as JSON, the content of its config.json.

    Args:
      data: the `source_identity` of the images by split.
      replicas: number of devices with batch statistics of their own.
      weights: SHA-256 of the weights that the run begins with, None for random ones.
    """
    identity = {
        'inception_jax': VERSION,
        'network': network.name,
        'fingerprint': fingerprint(network),
        'data': data,
        'replicas': replicas,
        'config': config,
        'weights': weights,
        'settings': numeric_settings(),
    }
    return json.loads(json.dumps(identity))


def check_workdir(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raises ValueError if the folder holds a sweep, or a run of another identity.

    A run that has made no step is replaced, with a note.
    """
    if is_sweep(folder):
        raise ValueError(f'{folder} holds a sweep; use another folder')
    if not is_run(folder):
        return
    try:
        check_same_run(folder, Run(folder).identity, identity)
    except ValueError as error:
        if has_begun(folder):
            raise
        difference, _, _ = str(error).rpartition('; ')
        warn_once(
            f'{folder} holds a run without a step, which starts anew: {difference}'
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{folder / CONFIG} is not a file of a run, or is damaged; use another '
            'folder'
        ) from error


def has_begun(folder: Path) -> bool:
    """Whether a run has made a step; a fork has made those of its parent."""
    run = Run(folder)
    return bool(
        run.checkpoints or run.lineage or steps_done(folder) or read_records(folder)
    )


def check_same_run(folder: Path, before: Mapping, now: Mapping) -> None:
    """Raises ValueError if two identities differ in more than a resume may change.

    A field of the config may change if its dataclass field says so in its metadata.
    """
    if before['fingerprint'] != now['fingerprint']:
        raise ValueError(
            f'workdir {folder} holds a run of {before["network"]} '
            f'({before["fingerprint"]}), and this config names {now["network"]} '
            f'({now["fingerprint"]}); use another folder'
        )
    _check_config(folder, before, now)
    _check_replicas(folder, before, now)
    _check_weights(folder, before, now)
    _check_settings(folder, before, now)
    for split in now['data']:
        check_same_images(
            before['data'][split],
            now['data'][split],
            f'the data of the {split} split have changed since the run in {folder} '
            'began',
            'restore the data, or use another folder',
        )


def _check_config(folder: Path, before: Mapping, now: Mapping) -> None:
    # Through JSON, which has lists for the tuples of defaults.
    old, new = (
        flatten(json.loads(json.dumps(completed(identity['config']))))
        for identity in (before, now)
    )
    free = MAY_CHANGE_ON_RESUME
    if _has_same_images(before['data'], now['data']):
        free = free | {'data.source'}  # The images may move.
    if new['recipe.schedule'] == 'cosine':
        free = free - {'run.epochs'}  # Each learning rate depends on the length.
    changed = [
        n for n in sorted(old | new) if n not in free and old.get(n) != new.get(n)
    ]
    if changed:
        first = changed[0]
        raise ValueError(
            f'workdir {folder} holds a run with config.{first}={old.get(first)!r}, and '
            f'this config has {new.get(first)!r} (fields that differ: {len(changed)}); '
            'use another folder, or the config of the run'
        )


def _has_same_images(before: Mapping, now: Mapping) -> bool:
    """Whether recorded contents prove that two runs have the same images."""
    return all(
        'content' in before[split] and not source_difference(before[split], now[split])
        for split in now
    )


def _check_replicas(folder: Path, before: Mapping, now: Mapping) -> None:
    old, new = (identity.get('replicas', 1) for identity in (before, now))
    if old != new:
        raise ValueError(
            f'the run in {folder} has batch statistics of {counted(old, "part")} of a '
            f'batch, and here it would have batch statistics of '
            f'{counted(new, "device")}; use {counted(old, "device")}, or another '
            'folder'
        )


def _check_settings(folder: Path, before: Mapping, now: Mapping) -> None:
    old, new = (identity.get('settings', {}) for identity in (before, now))
    if old != new:
        name = min(name for name in {*old, *new} if old.get(name) != new.get(name))
        values = [
            repr(settings.get(name, DEFAULTS.get(name))) for settings in (old, new)
        ]
        raise ValueError(
            f'the run in {folder} began with {name}={values[0]} of JAX, and here it is '
            f'{values[1]}; set {name.upper()} as it was, or use another folder'
        )


def _check_weights(folder: Path, before: Mapping, now: Mapping) -> None:
    old, new = (identity.get('weights') for identity in (before, now))
    if old != new:
        began = f'weights of SHA-256 {old}' if old else 'random weights'
        named = 'other weights' if new else 'no weights'
        raise ValueError(
            f'the run in {folder} began with {began}, and config.recipe.init_from '
            f'names {named}; resume the run with its own config (--workdir alone), or '
            'use another folder'
        )
