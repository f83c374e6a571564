"""The end of a run: verdict.json, curves.png and one screen of text."""

import dataclasses

from inception_jax.networks.describe.table import params
from inception_jax.networks.network import fingerprint
from inception_jax.networks.shapes import measure
from inception_jax.runs.checksum_file import add_file_checksum
from inception_jax.runs.records import Record, read_records
from inception_jax.runs.run import error_lines, labelled
from inception_jax.runs.workdir import VERDICT
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_json
from inception_jax.runtime.messages import first_line, warn
from inception_jax.stability.verdicts import Verdict, first_silent
from inception_jax.steps.batch_statistics import short_run_note
from inception_jax.steps.by_block import select_blocks
from inception_jax.training.loop import Outcome
from inception_jax.training.prepare import PreparedRun


def write_summary(run: PreparedRun, outcome: Outcome) -> str:
    """Writes verdict.json, then curves.png, into the workdir; returns the summary."""
    records = read_records(run.workdir)
    verdict = _with_first_silent_block(run, outcome.verdict, records)
    evaluations = [r for r in records if r['split'] == 'evaluation']
    last = evaluations[-1] if evaluations else None
    write_json(
        run.workdir / VERDICT,
        {
            **dataclasses.asdict(verdict),
            'steps_done': outcome.step,
            'steps': outcome.steps,
            'ended': outcome.ended,
            'network': run.network.name,
            'classes': run.network.classes,
            'fingerprint': fingerprint(run.network),
            'last_evaluation': last,
        },
    )
    add_file_checksum(run.workdir, VERDICT)
    _draw_curves(run, records)
    return _screen(run, outcome, verdict, evaluations)


def _draw_curves(run: PreparedRun, records: list[Record]) -> None:
    """Draws curves.png, an extra: a run has ended well without it."""
    try:
        # The import takes most of a second; the first step need not wait for it.
        from inception_jax.plots.curves import draw_run_curves

        draw_run_curves(records, run.workdir / 'curves.png', title=run.network.name)
    except (OSError, RuntimeError) as error:  # RuntimeError: matplotlib has no home.
        warn(f'curves.png is not drawn ({first_line(error)})')


def run_header(run: PreparedRun, done: int) -> str:
    """Returns the network, the data and the length of a run in a few lines."""
    count = sum(params(run.network, block) for block in measure(run.network))
    section = run.experiment.config['network']
    sizes = [f'{n} x {section[n]}' for n in ('width', 'depth') if section[n] != 1.0]
    settings, devices = run.experiment.run, run.mesh.devices.flat
    resuming = f', resuming from step {done:,}' if done else ''
    return (
        f'{", ".join([run.network.name, *sizes])}, {count:,} parameters, '
        f'{run.network.input_size} pixels\n'
        f'{run.experiment.data.source}: {counted(len(run.train_source), "image")} to '
        f'train on, {len(run.evaluation_source):,} to evaluate on, '
        f'{counted(run.network.classes, "class", "classes")}\n'
        f'{counted(run.steps, "step")} of {counted(settings.batch_size, "image")} '
        f'({counted(settings.epochs, "epoch")}) on {run.mesh.size} x '
        f'{devices[0].device_kind}'
        f'{resuming}{_fine_tuning(run)}{_short_run(run)}'
    )


def _short_run(run: PreparedRun) -> str:
    """Returns a line that warns of a run too short for its batch statistics.

    Statistics of initial weights are averages already, and need no more steps.
    """
    recipe = run.experiment.recipe
    if recipe.init_from:
        return ''
    note = short_run_note(recipe.batch_norm_decay, run.steps)
    return f'\n{note}' if note else ''


def _fine_tuning(run: PreparedRun) -> str:
    """Returns a line about initial weights, frozen blocks and rates by block.

    It is empty for a run that trains all blocks from random weights.
    """
    recipe, parts = run.experiment.recipe, []
    if recipe.init_from:
        head = ' and a new head' if recipe.new_head else ''
        parts.append(f'starts from {recipe.init_from}{head}')
    if recipe.frozen:
        frozen = select_blocks(run.network, recipe.frozen)
        free = [block for block in measure(run.network) if block.name not in frozen]
        trained = sum(params(run.network, block) for block in free)
        random = '' if recipe.init_from else ' at random values'
        parts.append(
            f'{", ".join(recipe.frozen)} frozen{random}: trains {trained:,} parameters'
        )
    parts += [
        f'{name} at {factor:g} of the rate' for name, factor in recipe.rate_factors
    ]
    return f'\n{"; ".join(parts)}' if parts else ''


def _with_first_silent_block(
    run: PreparedRun, verdict: Verdict, records: list[Record]
) -> Verdict:
    if verdict.verdict not in ('dying', 'dead'):
        return verdict
    diagnostics = [r for r in records if r['split'] == 'diagnostics']
    block = first_silent(diagnostics, run.experiment.verdicts)
    return dataclasses.replace(verdict, layer=block)


def _screen(
    run: PreparedRun, outcome: Outcome, verdict: Verdict, evaluations: list[Record]
) -> str:
    lines = {
        'run': run.workdir,
        'network': run.network.name,
        'steps': f'{outcome.step:,} of {outcome.steps:,}',
        **error_lines(evaluations, run.network.classes),
        'verdict': verdict,
        'files': 'curves.png, metrics.jsonl, verdict.json, config.json',
    }
    if outcome.stopped:
        lines['stopped'] = 'run the same command again to resume'
    return '\n' + labelled(lines)
