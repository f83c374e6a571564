"""The sentences of a report: verdicts, contrasts between members, lineages."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.lab.edits import is_edit
from inception_jax.lab.grid import short_names
from inception_jax.plots.grouping import (
    CHANGE,
    Row,
    is_seed,
    sorted_values,
    value_text,
)
from inception_jax.reports.study import Member, Study
from inception_jax.runtime.amounts import counted
from inception_jax.stability.verdicts import LOST

NONE_LOST = 'None died or diverged.'


def brief(member: Member) -> str:
    """Returns the verdict of a member and its step, as in `dead since step 260`.

    A fork keeps the dates of its parent, so the step may be before the fork.
    """
    if member.verdict == 'unfinished':
        return f'unfinished at step {member.steps_done:,}'
    if member.step is None:
        return member.verdict
    word = 'at' if member.verdict == 'diverged' else 'since'
    before = ' (before the fork)' if member.is_from_parent else ''
    return f'{member.verdict} {word} step {member.step:,}{before}'


def member_sentences(member: Member) -> str:
    """Returns the verdict of a member, its reason and the last evaluation."""
    parts = [_capitalized(brief(member)) + _reason(member) + '.']
    parts += _logits_sentence(member)
    done, steps = member.steps_done, member.outcome.get('steps')
    if member.verdict != 'failed' and steps:
        parts.append(f'{done:,} of {counted(steps, "step")}.')
    last = member.outcome.get('last_evaluation')
    if last:
        entropy = last['cross_entropy']
        parts.append(
            f'Last evaluation, at step {last["step"]:,}: '
            f'top-1 error {_number(last["top_1_error"], ".2f")} %, cross-entropy '
            f'{_number(entropy, ".3f")}{"" if entropy is None else " nats"}.'
        )
    return ' '.join(parts)


def study_summary(study: Study, table: Sequence[Row]) -> str:
    """Returns how the runs ended.

    For a sweep the summary names the field whose values differ most in their share of
    dead and diverged members.
    """
    if study.kind == 'run':
        return member_sentences(study.members[0])
    if study.kind == 'runs':
        parts = [f'{member.name} {brief(member)}' for member in study.members]
        return f'{"; ".join(parts)}.'
    labels = [label for field, label in study.fields.items() if field != CHANGE]
    over = f' over {_enumerated(labels)}' if labels else ''
    changed = sum(row.get(CHANGE) is not None for row in table)
    controls = f', {changed} of them with another change' if changed else ''
    head = f'{counted(len(table), "member")}{over}{controls}.'
    return f'{head} {contrast(table, study.fields)}'.strip()


def contrast(table: Sequence[Row], fields: Mapping[str, str]) -> str:
    """Returns how many members died or diverged, by the field that matters most.

    The values of this field differ most in their shares of dead and diverged members.
    If no member died or diverged, the sentence counts the dying members. It counts
    members with a `change` separately, and leaves them out of the shares. While members
    are unfinished, the sentence begins with the number of finished members.
    """
    sentence = _contrast(table, fields)
    if all(row['verdict'] != 'unfinished' for row in table):
        return sentence
    so_far = f'So far, {len(_judged(table))} of {len(table)} finished'
    if sentence.startswith(NONE_LOST):
        return f'{so_far}: {sentence[:1].lower()}{sentence[1:]}'
    return f'{so_far}. {sentence}'.strip()


def _judged(table: Sequence[Row]) -> list[Row]:
    return [row for row in table if row['verdict'] not in ('failed', 'unfinished')]


def _contrast(table: Sequence[Row], fields: Mapping[str, str]) -> str:
    judged = _judged(table)
    plain = [row for row in judged if row.get(CHANGE) is None]
    changed = [row for row in judged if row.get(CHANGE) is not None]
    for verdicts, words in ((LOST, 'dead or diverged'), (('dying',), 'dying')):
        count = sum(row['verdict'] in verdicts for row in judged)
        if not count:
            continue
        none_lost = '' if verdicts == LOST else f'{NONE_LOST} '
        shares = _shares(plain, fields, verdicts)
        if not shares:
            return f'{none_lost}{count} of {len(judged)} {words}.'
        lost = sum(row['verdict'] in verdicts for row in changed)
        rest = f'; {lost} of {len(changed)} with another change' if changed else ''
        return f'{none_lost}{_capitalized(words)}, {shares}{rest}.'
    return NONE_LOST if judged else ''


def _shares(
    rows: Sequence[Row], fields: Mapping[str, str], verdicts: Sequence[str]
) -> str:
    free = [f for f in fields if not is_seed(f) and f != CHANGE]
    counts = {field: _count(rows, field, verdicts) for field in free}
    counts = {field: c for field, c in counts.items() if 1 < len(c) <= 10}
    if not counts:
        return ''
    field = max(counts, key=lambda f: _difference(counts[f]))
    parts = [
        f'{lost} of {total} at {value_text(value)}'
        for value, (lost, total) in counts[field].items()
    ]
    return f'by {fields[field]}: {", ".join(parts)}'


def lineage_tree(study: Study) -> str:
    """Returns the forks of a study as a tree of text; '' if there are no forks.

    A parent that is not in the study appears by its path.
    """
    if not any(member.lineage for member in study.members):
        return ''
    children: dict[str, list[tuple[str, str]]] = {}
    labels = {
        member.name: f'{member.name}: {brief(member)}' for member in study.members
    }
    placed = set()
    for member in study.members:
        child, origin = member.name, member.lineage
        while origin and child not in placed:
            parent = parent_name(study, origin)
            labels.setdefault(parent, f'{parent} (not in this report)')
            placed.add(child)
            children.setdefault(parent, []).append((fork_changes(origin), child))
            child, origin = parent, origin['lineage']
    roots = [name for name in labels if name not in placed]
    return '\n'.join(line for root in roots for line in _tree(root, labels, children))


def parent_name(study: Study, origin: Mapping[str, Any]) -> str:
    """Returns the name of a fork's parent, or its path if it is not in the study."""
    parent = Path(origin['parent']).resolve()
    names = [m.name for m in study.members if m.folder.resolve() == parent]
    return names[0] if names else origin['parent']


def fork_changes(origin: Mapping[str, Any]) -> str:
    """Returns the step at which a fork began and its changes, as a phrase."""
    short = short_names(origin['changes'])
    parts = [
        f'{name} set to {value_text(new)}'
        if is_edit(name)
        else f'{short[name]}: {value_text(old)} to {value_text(new)}'
        for name, (old, new) in origin['changes'].items()
    ]
    return f'from step {origin["step"]:,}, {", ".join(parts) or "nothing changed"}'


def _tree(
    name: str,
    labels: Mapping[str, str],
    children: Mapping[str, Sequence[tuple[str, str]]],
    indent: str = '',
) -> Iterator[str]:
    if not indent:
        yield labels[name]
    last = len(children.get(name, ())) - 1
    for number, (changes, child) in enumerate(children.get(name, ())):
        corner, rule = ('└─ ', '   ') if number == last else ('├─ ', '│  ')
        yield f'{indent}{corner}{changes}'
        yield f'{indent}{rule}{labels[child]}'
        yield from _tree(child, labels, children, indent + rule)


def _reason(member: Member) -> str:
    layer, trend = member.outcome.get('layer'), member.outcome.get('trend')
    if member.verdict == 'failed':
        return f': {(member.error or "no message").splitlines()[-1].rstrip(".")}'
    if member.verdict == 'dead' and layer:
        return f'; the first silent block is {layer}'
    if member.verdict == 'diverged' and layer:
        return f'; first not finite: {layer}'
    if member.verdict == 'dying' and trend is not None:
        return (
            f'; the share of silent channels changes by {trend:+.2g} percentage '
            'points per 100 steps'
        )
    return ''


def _logits_sentence(member: Member) -> list[str]:
    """Returns how far the logits layer of a dying or lost run was above its limit.

    The limit is the curvature that the optimizer can descend
    (`stability.logits_layer`). Only steps up to the onset count, because silent
    channels lower the curvature.
    """
    onset = member.outcome.get('onset') or member.step
    ratios = [
        (record['logits_edge_ratio'], record['step'])
        for record in member.records
        if record.get('logits_edge_ratio') is not None
        and record['step'] <= (onset or 0)
    ]
    if not ratios or max(ratios)[0] <= 1:
        return []
    ratio, step = max(ratios)
    return [
        f'Until then the curvature of the logits layer was up to {ratio:.2g} times its '
        f'stable limit (step {step:,}).'
    ]


def _count(
    rows: Sequence[Row], field: str, verdicts: Sequence[str]
) -> dict[Any, tuple[int, int]]:
    """Counts the rows with one of the verdicts and all rows, by value of a field."""
    groups = {
        value: [row['verdict'] in verdicts for row in rows if row[field] == value]
        for value in sorted_values(row[field] for row in rows)
    }
    return {value: (sum(group), len(group)) for value, group in groups.items()}


def _difference(counts: Mapping[Any, tuple[int, int]]) -> float:
    """Returns the variance between groups, which are weighted by their sizes."""
    mean = sum(n for n, _ in counts.values()) / sum(size for _, size in counts.values())
    return sum(size * (n / size - mean) ** 2 for n, size in counts.values())


def _enumerated(words: Sequence[str]) -> str:
    return ' and '.join([', '.join(words[:-1]), words[-1]] if words[1:] else words)


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _number(value: float | None, spec: str) -> str:
    return 'not finite' if value is None else format(value, spec)
