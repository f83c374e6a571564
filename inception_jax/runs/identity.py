"""Whose a run is: what makes it this run and no other."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inception_jax.config.experiment import completed
from inception_jax.config.overrides import flatten
from inception_jax.networks.network import Network, fingerprint
from inception_jax.runs.workdir import is_sweep
from inception_jax.runtime.version import VERSION


def run_identity(
    network: Network,
    config: Mapping[str, Any],
    data: Mapping,
    replicas: int,
    weights: str | None,
) -> dict:
    """Returns what makes a run this run and no other, as JSON.

    `replicas` is the number of devices with batch statistics of their own, `weights`
    the SHA-256 of those that it begins with.
    """
    about = {
        'inception_jax': VERSION,
        'network': network.name,
        'fingerprint': fingerprint(network),
        'data': data,
        'replicas': replicas,
        'config': config,
        'weights': weights,
    }
    return json.loads(json.dumps(about))


def check_workdir(folder: Path, run: Mapping[str, Any]) -> None:
    """Raises ValueError if the folder holds another run than the identity `run`."""
    path = folder / 'config.json'
    if is_sweep(folder):
        raise ValueError(f'{folder} holds a sweep; use another --workdir')
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text())
        check_same_run(folder, before, run)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} is not that of a run, or is damaged; use another --workdir'
        ) from error


def check_same_run(folder: Path, before: Mapping, run: Mapping) -> None:
    """Raises ValueError unless two identities differ in nothing but `FREE` fields."""
    if before['fingerprint'] != run['fingerprint']:
        raise ValueError(
            f'workdir {folder} holds a run of {before["network"]} '
            f'({before["fingerprint"]}), and this config names {run["network"]} '
            f'({run["fingerprint"]}); use another --workdir'
        )
    _check_config(folder, before, run)
    _check_parts(folder, before, run)
    for split in run['data']:
        if before['data'][split] != run['data'][split]:
            raise ValueError(
                f'the data of the {split} split have changed since the run in {folder} '
                f'began: {_spelled(before["data"][split])} then, '
                f'{_spelled(run["data"][split])} now; restore them, or use another '
                '--workdir'
            )


def _check_config(folder: Path, before: Mapping, run: Mapping) -> None:
    # Defaults as JSON has them: lists for tuples.
    old, new = (
        flatten(json.loads(json.dumps(completed(one['config']))))
        for one in (before, run)
    )
    free = FREE - {'run.epochs'} if new['recipe.schedule'] == 'cosine' else FREE
    changed = [
        n for n in sorted(old | new) if n not in free and old.get(n) != new.get(n)
    ]
    if changed:
        first = changed[0]
        raise ValueError(
            f'workdir {folder} holds a run with config.{first}={old.get(first)!r}, and '
            f'this config has {new.get(first)!r} ({len(changed)} such fields); use '
            'another --workdir, or the config of the run'
        )


def _check_parts(folder: Path, before: Mapping, run: Mapping) -> None:
    """Raises ValueError where other devices or weights make another run of it."""
    parts = [one.get('replicas', 1) for one in (before, run)]
    if parts[0] != parts[1]:
        raise ValueError(
            f'the run in {folder} has batch statistics of {parts[0]} parts of a batch, '
            f'and here it would have those of {parts[1]} devices; use as many devices, '
            'or another --workdir'
        )
    weights = [one.get('weights') for one in (before, run)]
    if weights[0] != weights[1]:
        began = f'weights of SHA-256 {weights[0]}' if weights[0] else 'drawn values'
        now = 'other weights' if weights[1] else 'none'
        raise ValueError(
            f'the run in {folder} began with {began}, and config.recipe.init_from '
            f'names {now}; go on by --workdir alone, or use another'
        )


def _spelled(data: Mapping[str, Any]) -> str:
    return (
        f'{data["images"]:,} images of {data["classes"]:,} classes (names '
        f'{data["class_names"]})'
    )


# Fields that change what a run leaves behind, and not what it computes.
FREE = frozenset(
    {
        'data.data_dir',
        'data.on_unreadable',
        'data.workers',
        'parallel.mode',
        'parallel.parameter_devices',
        'recipe.execution',
        'recipe.init_from',
        'recipe.remat',
        'run.epochs',
        'run.log_every_steps',
        'run.evaluate_every_epochs',
        'run.checkpoint_every_epochs',
        'run.checkpoint_every_minutes',
        'run.keep_checkpoints',
        'run.keep_best',
        'verdicts.on_dead',
        'verdicts.on_diverged',
        'run.diagnose_every_steps',
    }
)
