"""The folder of a run: whose it is, and what it ends with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inception_jax.networks.network import Network, fingerprint
from inception_jax.version import VERSION

# Fields that change what a run leaves behind, and not what it computes.
FREE = frozenset(
    {
        'data.data_dir',
        'run.epochs',
        'run.log_every_steps',
        'run.evaluate_every_epochs',
        'run.checkpoint_every_epochs',
        'run.keep_checkpoints',
    }
)


def claim(folder: Path, config: Mapping[str, Any], network: Network) -> None:
    """Makes the folder that of this run, or sees that it is.

    Raises:
      ValueError: it holds another run, or it cannot be written.
    """
    path = folder / 'config.json'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _check_same(folder, json.loads(path.read_text()), config, network)
        about = {
            'inception_jax': VERSION,
            'network': network.name,
            'fingerprint': fingerprint(network),
            'config': config,
        }
        write_json(path, about)
    except OSError as error:
        raise ValueError(
            f'cannot write to workdir {folder} ({error.strerror}); name another one'
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one piece: whoever reads it sees the old file or the new one."""
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(value, indent=2) + '\n')
    draft.replace(path)


def _check_same(folder, before, config, network) -> None:
    if before['fingerprint'] != fingerprint(network):
        raise ValueError(
            f'workdir {folder} holds a run of {before["network"]} '
            f'({before["fingerprint"]}), and this config names {network.name} '
            f'({fingerprint(network)}); use another --workdir'
        )
    old, new = _flat(before['config']), _flat(json.loads(json.dumps(config)))
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


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f'{s}.{name}': v for s, fields in config.items() for name, v in fields.items()
    }
