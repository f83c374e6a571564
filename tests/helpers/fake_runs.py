"""Fake runs, sweeps and forks on disk, as the commands would leave them."""

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np

BLOCKS = ('stem', 'a_1', 'reduction_a', 'b_1', 'b_2', 'reduction_b', 'c_1', 'c_2')
BLOCKS += ('logits',)
RESIDUAL = {'a_1', 'b_1', 'b_2', 'c_1', 'c_2'}
STEPS, LOG, EVALUATE, DIAGNOSE, STEPS_PER_EPOCH = 600, 10, 60, 25, 45
SCALES, WIDTHS, SEEDS = (0.1, 0.3, 0.6, 1.0), (0.25, 1.0), (0, 1, 2)
PINNED = math.log(10)


@dataclasses.dataclass(frozen=True)
class Fate:
    """The end of a fake run: its verdict, the step of the verdict and the last step."""

    verdict: str = 'alive'
    step: int | None = None
    end: int = STEPS


def write_run(folder: Path, fate=Fate(), *, fields=None, every=LOG, noise=0) -> Path:
    """Writes a run that met its fate, with `fields` in place of those of the config."""
    folder.mkdir(parents=True, exist_ok=True)
    config = changed(base_config(), fields or {})
    identity = {
        'inception_jax': '0.2.0',
        'network': 'fake',
        'fingerprint': '0ddba11',
    }
    write_json(folder / 'config.json', identity | {'data': {}, 'config': config})
    (folder / 'commands.log').write_text(
        '2026-11-20T09:12:44 python -m inception_jax train --config '
        f'configs/fake.py --workdir {folder.name}\n'
    )
    if fate.verdict == 'failed':
        (folder / 'error.txt').write_text('ValueError: <no> such split & no folder\n')
        return folder
    records = list(traces(fate, every, np.random.default_rng(noise)))
    lines = ''.join(json.dumps(record) + '\n' for record in records)
    if fate.verdict == 'unfinished':
        lines += '{"split": "train", "st'
    else:
        write_json(folder / 'verdict.json', verdict(fate, records))
    (folder / 'metrics.jsonl').write_text(lines)
    return folder


def write_sweep(folder: Path, *, scales=SCALES, widths=WIDTHS, seeds=SEEDS) -> Path:
    """Writes a sweep in which wide networks die unless they are scaled down."""
    members, lines = {}, ['member,residual_scale,width,seed,filters,verdict']
    for number, (scale, width, seed) in enumerate(
        itertools.product(scales, widths, seeds)
    ):
        name = f'residual_scale={scale},width={width},seed={seed}'
        fields = {
            'hparams.residual_scale': scale,
            'network.width': width,
            'run.seed': seed,
        }
        members[name] = fields
        fate = fate_of(scale, width, seed)
        write_run(folder / 'members' / name, fate, fields=fields, noise=number)
        filters = round(1792 * width)
        lines.append(f'"{name}",{scale},{width},{seed},{filters},{fate.verdict}')
    write_json(folder / 'sweep.json', {'config': base_config(), 'members': members})
    (folder / 'table.csv').write_text('\n'.join(lines) + '\n')
    (folder / 'commands.log').write_text(
        '2026-11-20T09:12:44 python -m inception_jax sweep --config '
        f"configs/fake.py --workdir {folder.name} --grid 'residual_scale="
        "0.1,0.3,0.6,1;width=0.25,1;seed=0,1,2'\n"
    )
    return folder


def write_forks(folder: Path) -> list[Path]:
    """Writes a run that dies, two forks of it, and a fork of the second."""
    base = write_run(folder / 'base', Fate('dead', 260), noise=1)
    late = fork(
        base, folder / 'late', 400, {'learning_rate': 0.0045}, Fate('dead', 260)
    )
    early = fork(base, folder / 'early', 100, {'residual_scale': 0.1}, Fate())
    again = fork(
        early, folder / 'again', 300, {'residual_scale': 2.0}, Fate('diverged', 480)
    )
    return [base, late, early, again]


def fork(parent: Path, folder: Path, step: int, hparams: dict, fate: Fate) -> Path:
    """Writes a fork of `parent` whose records after `step` are those of its fate."""
    old = read_json(parent / 'config.json')['config']['hparams']
    fields = {f'hparams.{name}': value for name, value in (old | hparams).items()}
    write_run(folder, fate, fields=fields, noise=step)
    both = [
        [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
        for run in (parent, folder)
    ]
    records = [r for r in both[0] if r['step'] <= step]
    records += [r for r in both[1] if r['step'] > step]
    (folder / 'metrics.jsonl').write_text(
        ''.join(json.dumps(record) + '\n' for record in records)
    )
    above = parent / 'lineage.json'
    write_json(
        folder / 'lineage.json',
        {
            'parent': str(parent),
            'step': step,
            'changes': {
                f'hparams.{name}': [old[name], value] for name, value in hparams.items()
            },
            'lineage': read_json(above) if above.exists() else None,
        },
    )
    return folder


def write_replay(folder: Path, start: int, end: int) -> None:
    """Writes the diagnostics of every step from `start` + 1 to `end`."""
    random = np.random.default_rng(start)
    records = [
        diagnosis(s, Fate('dead', end), random) for s in range(start + 1, end + 1)
    ]
    (folder / f'replay-{start}-{end}.jsonl').write_text(
        ''.join(json.dumps(record) + '\n' for record in records)
    )


def fate_of(scale: float, width: float, seed: int) -> Fate:
    """Returns the fate of a member of the fake sweep."""
    if width < 1:
        return Fate('dying', 420) if scale == 1.0 and seed == 1 else Fate()
    if scale == 1.0:
        return (Fate('dead', 90), Fate('dead', 130), Fate('diverged', 70))[seed]
    if scale == 0.6:
        return (Fate('dead', 310), Fate('dying', 350), Fate('dead', 260))[seed]
    if scale == 0.3:
        return (Fate(), Fate('dying', 500), Fate('failed'))[seed]
    return (Fate(), Fate(), Fate('unfinished', end=240))[seed]


def traces(fate: Fate, every: int, random: np.random.Generator):
    """Yields the records of a run in their order."""
    for step in range(1, fate.end + 1):
        if step % every == 0:
            yield train_record(step, fate, random)
        if step % DIAGNOSE == 0:
            yield diagnosis(step, fate, random)
        if step % EVALUATE == 0:
            names = ('step', 'epoch', 'cross_entropy', 'top_1_error', 'top_5_error')
            record = train_record(step, fate, random)
            kept = {name: record[name] for name in names}
            yield {'split': 'evaluation'} | kept | {'examples': 359}


def train_record(step: int, fate: Fate, random: np.random.Generator) -> dict:
    """Returns the means of the steps before `step`: null once the run has diverged."""
    silent, learned = silence(step, fate), 0.9 * (1 - math.exp(-step / 220))
    learned *= 1 - silence(step, fate)
    jitter = 1 + 0.04 * random.standard_normal()
    error = 90 - 88 * learned * jitter
    values = {
        'loss': PINNED * (1 - learned) * jitter + 0.1,
        'cross_entropy': PINNED * (1 - learned) * jitter,
        'top_1_error': min(error, 92.0),
        'top_5_error': max(0.4, min(error - 40, 52.0)),
        'gradient_norm': (0.01 + 2 * (1 - silent)) * jitter,
        'learning_rate': 0.045 * 0.94 ** (step // STEPS_PER_EPOCH),
        'zero_share': min(1.0, 0.3 + 0.7 * silent),
        'dead_channels': silent,
        'images_per_second': 310.0 * jitter,
        'seconds_left': float(STEPS - step),
    }
    if fate.verdict == 'diverged' and step >= fate.step:
        nothing = ('loss', 'cross_entropy', 'gradient_norm', 'zero_share')
        values |= dict.fromkeys((*nothing, 'dead_channels'))
    position = {'split': 'train', 'step': step, 'epoch': step / STEPS_PER_EPOCH}
    return position | values


def diagnosis(step: int, fate: Fate, random: np.random.Generator) -> dict:
    """Returns a diagnostics record, in which the last blocks go silent first."""
    gone = fate.verdict == 'diverged' and step >= fate.step
    columns = {name: [] for name in ('output_rms', 'zero_share', 'dead_channels')}
    columns |= {name: [] for name in ('trunk_rms', 'branch_rms', 'branch_ratio')}
    columns |= {name: [] for name in ('gradient_norm', 'update_ratio')}
    for depth, block in enumerate(BLOCKS):
        silent = silence(step, fate) ** (1 + 0.5 * (len(BLOCKS) - depth))
        trunk = (1 + depth / 4) * (1 + 0.05 * random.standard_normal())
        branch = trunk * (0.2 + 0.8 * silent)
        residual = block in RESIDUAL
        values = {
            'output_rms': trunk,
            'zero_share': 0.3 + 0.7 * silent,
            'dead_channels': silent,
            'trunk_rms': trunk if residual else None,
            'branch_rms': branch if residual else None,
            'branch_ratio': branch / trunk if residual else None,
            'gradient_norm': 0.3 * (1 - silent) / (1 + depth),
            'update_ratio': 1e-3 * (1 - silent) * (1 + 0.2 * random.standard_normal()),
        }
        for name, value in values.items():
            columns[name].append(None if gone else value)
    position = {'split': 'diagnostics', 'step': step, 'epoch': step / STEPS_PER_EPOCH}
    learned = PINNED * 0.9 * (1 - math.exp(-step / 220)) * (1 - silence(step, fate))
    return position | {'blocks': list(BLOCKS), 'nats_learned': learned} | columns


def silence(step: int, fate: Fate) -> float:
    """Returns the share of silent channels: near 1 from the death on."""
    if fate.verdict in ('dead', 'diverged'):
        return 1 / (1 + math.exp((fate.step * 0.85 - step) / (fate.step / 25)))
    if fate.verdict == 'dying':
        return 0.02 + 0.6 / (1 + math.exp((fate.step - step) / 60))
    return 0.02 + 0.03 * step / STEPS


def verdict(fate: Fate, records: list[dict]) -> dict:
    """Returns what `training.summary` writes into verdict.json."""
    evaluations = [r for r in records if r['split'] == 'evaluation']
    layer = {'dead': 'c_2', 'diverged': 'gradient of c_2'}.get(fate.verdict)
    return {
        'verdict': fate.verdict,
        'step': fate.step,
        'trend': 3.1 if fate.verdict == 'dying' else None,
        'layer': layer,
        'onset': fate.step if fate.verdict in ('dying', 'dead') else None,
        'death': fate.step if fate.verdict == 'dead' else None,
        'confirmed': fate.step + 49 if fate.verdict == 'dead' else None,
        'steps_done': fate.end,
        'steps': STEPS,
        'ended': fate.verdict == 'diverged',
        'network': 'fake',
        'classes': 10,
        'fingerprint': '0ddba11',
        'last_evaluation': evaluations[-1] if evaluations else None,
    }


def base_config() -> dict:
    return {
        'network': {'name': 'fake', 'width': 0.25, 'depth': 0.2, 'rule': None},
        'recipe': {
            'optimizer': 'rmsprop',
            'schedule': 'exponential',
            'initializer': 'he',
        },
        'hparams': {'learning_rate': 0.045, 'residual_scale': None},
        'data': {'source': 'digits', 'train_split': 'train'},
        'run': {'seed': 0, 'batch_size': 32, 'epochs': STEPS / STEPS_PER_EPOCH},
        'verdicts': {},
    }


def changed(config: dict, fields: dict) -> dict:
    for field, value in fields.items():
        section, name = field.split('.')
        config[section] = config[section] | {name: value}
    return config


def read_json(path: Path):
    return json.loads(path.read_text())


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2) + '\n')
