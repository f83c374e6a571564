"""The end of a run: verdict.json, curves.png and one screen of text."""

import dataclasses

from inception_jax.networks.describe.table import params
from inception_jax.networks.network import fingerprint
from inception_jax.networks.shapes import measure
from inception_jax.runs.records import Record, read_records
from inception_jax.runtime.files import write_json
from inception_jax.stability.verdicts import Verdict, first_silent
from inception_jax.steps.by_block import select_blocks
from inception_jax.training.loop import Outcome
from inception_jax.training.prepare import PreparedRun


def write_summary(p: PreparedRun, outcome: Outcome) -> str:
    """Writes verdict.json and curves.png into the workdir and returns a summary."""
    # Most of a second of import, for which no first step has to wait.
    from inception_jax.plots.curves import draw_run_curves

    records = read_records(p.workdir)
    outcome = outcome._replace(verdict=_located(p, outcome.verdict, records))
    evaluations = [r for r in records if r['split'] == 'evaluation']
    last = evaluations[-1] if evaluations else None
    draw_run_curves(records, p.workdir / 'curves.png', title=p.network.name)
    write_json(
        p.workdir / 'verdict.json',
        {
            **dataclasses.asdict(outcome.verdict),
            'steps_done': outcome.step,
            'steps': p.steps,
            'ended': outcome.ended,
            'network': p.network.name,
            'classes': p.network.classes,
            'fingerprint': fingerprint(p.network),
            'last_evaluation': last,
        },
    )
    return _screen(p, outcome, evaluations)


def run_header(p: PreparedRun, done: int) -> str:
    """Returns what is about to happen, in three lines or four."""
    count = sum(params(p.network, block) for block in measure(p.network))
    given = p.experiment.config['network']
    sizes = [f'{n} x {given[n]}' for n in ('width', 'depth') if given[n] != 1.0]
    run, devices = p.experiment.run, p.mesh.devices.flat
    going_on = f', going on from step {done:,}' if done else ''
    return (
        f'{", ".join([p.network.name, *sizes])}, {count:,} parameters, '
        f'{p.network.input_size} pixels\n'
        f'{p.experiment.data.source}: {len(p.train_source):,} images to train on, '
        f'{len(p.evaluation_source):,} to evaluate, {p.network.classes} classes\n'
        f'{p.steps:,} steps of {run.batch_size} images ({run.epochs:g} epochs) on '
        f'{p.mesh.size} x {devices[0].device_kind}{going_on}{_tuning(p)}'
    )


def _tuning(p: PreparedRun) -> str:
    """Returns a line about weights that a run begins with and what it trains of them.

    It is empty for a run that draws its values and trains all.
    """
    recipe, parts = p.experiment.recipe, []
    if recipe.init_from:
        head = ' and a new head' if recipe.new_head else ''
        parts.append(f'begins with {recipe.init_from}{head}')
    if recipe.frozen:
        frozen = select_blocks(p.network, recipe.frozen)
        free = [block for block in measure(p.network) if block.name not in frozen]
        trains = sum(params(p.network, block) for block in free)
        drawn = '' if recipe.init_from else ' at drawn values'
        parts.append(f'{", ".join(recipe.frozen)} frozen{drawn}: trains {trains:,}')
    parts += [f'{name} at {x:g} of the rate' for name, x in recipe.rate_factors]
    return f'\n{"; ".join(parts)}' if parts else ''


def _located(p: PreparedRun, verdict: Verdict, records: list[Record]) -> Verdict:
    """Returns the verdict with the block that went silent first, if any did."""
    if verdict.verdict not in ('dying', 'dead'):
        return verdict
    diagnoses = [r for r in records if r['split'] == 'diagnostics']
    layer = first_silent(diagnoses, p.experiment.verdicts)
    return dataclasses.replace(verdict, layer=layer)


def _screen(p: PreparedRun, outcome: Outcome, evaluations: list[Record]) -> str:
    lines = ['', f'{"run":<12}{p.workdir}']
    lines += [f'{"network":<12}{p.network.name}']
    lines += [f'{"steps":<12}{outcome.step:,} of {p.steps:,}']
    if evaluations:
        best = min(evaluations, key=lambda record: record['top_1_error'])
        for name, record in (('last', evaluations[-1]), ('best', best)):
            lines.append(
                f'{name:<12}top-1 error {record["top_1_error"]:.2f} %, top-5 error '
                f'{record["top_5_error"]:.2f} %, cross-entropy '
                f'{_number(record["cross_entropy"])}, epoch {record["epoch"]:.1f}'
            )
    lines += [f'{"verdict":<12}{outcome.verdict!s}']
    lines += [f'{"files":<12}curves.png, metrics.jsonl, verdict.json, config.json']
    if outcome.signal is not None and outcome.step < p.steps:
        lines += [f'{"stopped":<12}run the same command again to go on']
    return '\n'.join(lines)


def _number(value: float | None) -> str:
    return 'not finite' if value is None else f'{value:.3f}'
