"""What a report says in words: verdicts, contrasts, lineages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.lab.grid import short_names
from inception_jax.plots.grouping import CHANGE, Row, is_seed, ordered, value_text
from inception_jax.reports.study import Member, Study
from inception_jax.stability.verdicts import LOST

NONE = 'None died or diverged.'


def brief(member: Member) -> str:
    """Returns a verdict as in `dead since step 260`."""
    step = member.outcome.get('step')
    if member.verdict == 'unfinished':
        return f'unfinished at step {member.steps_done:,}'
    if step is None:
        return member.verdict
    word = 'at' if member.verdict == 'diverged' else 'since'
    return f'{member.verdict} {word} step {step:,}'


def sentences(member: Member) -> str:
    """Returns a verdict with its reasons and the last evaluation, as sentences."""
    said = [_upper(brief(member)) + _reason(member) + '.']
    done, steps = member.steps_done, member.outcome.get('steps')
    if member.verdict != 'failed' and steps:
        said.append(f'{done:,} of {steps:,} steps.')
    last = member.outcome.get('last_evaluation')
    if last:
        entropy = last['cross_entropy']
        said.append(
            f'Last evaluation, at step {last["step"]:,}: '
            f'top-1 error {_number(last["top_1_error"], ".2f")} %, cross-entropy '
            f'{_number(entropy, ".3f")}{"" if entropy is None else " nats"}.'
        )
    return ' '.join(said)


def summary(study: Study, table: Sequence[Row]) -> str:
    """Returns what became of the runs; of a sweep, with which field losses go most."""
    if study.kind == 'run':
        return sentences(study.members[0])
    if study.kind == 'runs':
        parts = [f'{member.name} {brief(member)}' for member in study.members]
        return f'{"; ".join(parts)}.'
    many = 'member' if len(table) == 1 else 'members'
    names = [words for field, words in study.fields.items() if field != CHANGE]
    over = f' over {_joined(names)}' if names else ''
    changed = sum(row.get(CHANGE) is not None for row in table)
    controls = f', {changed} of them with another change' if changed else ''
    return (
        f'{len(table)} {many}{over}{controls}. {contrast(table, study.fields)}'.strip()
    )


def contrast(table: Sequence[Row], fields: Mapping[str, str]) -> str:
    """Returns how many were lost, by the field along which the shares differ most.

    Where none was lost it is said of the dying. Members with another change than
    that of the other fields are left out of the shares, and counted after them. While
    members are unfinished it begins with how many are finished.
    """
    said = _contrast(table, fields)
    if all(row['verdict'] != 'unfinished' for row in table):
        return said
    so_far = f'So far, {len(_judged(table))} of {len(table)} finished'
    if said.startswith(NONE):
        return f'{so_far}: {said[:1].lower()}{said[1:]}'
    return f'{so_far}. {said}'.strip()


def _judged(table: Sequence[Row]) -> list[Row]:
    return [row for row in table if row['verdict'] not in ('failed', 'unfinished')]


def _contrast(table: Sequence[Row], fields: Mapping[str, str]) -> str:
    judged = _judged(table)
    plain = [row for row in judged if row.get(CHANGE) is None]
    changed = [row for row in judged if row.get(CHANGE) is not None]
    for verdicts, words in ((LOST, 'dead or diverged'), (('dying',), 'dying')):
        count = sum(row['verdict'] in verdicts for row in judged)
        if count:
            none = '' if verdicts == LOST else f'{NONE} '
            shares = _shares(plain, fields, verdicts)
            said = (
                f'{words}, {shares}' if shares else f'{count} of {len(judged)} {words}'
            )
            lost = sum(row['verdict'] in verdicts for row in changed)
            rest = f'; {lost} of {len(changed)} with another change' if changed else ''
            return f'{none}{_upper(said)}{rest if shares else ""}.'
    return NONE if judged else ''


def _shares(
    rows: Sequence[Row], fields: Mapping[str, str], verdicts: Sequence[str]
) -> str:
    free = [f for f in fields if not is_seed(f) and f != CHANGE]
    groups = {f: _count(rows, f, verdicts) for f in free}
    groups = {field: g for field, g in groups.items() if 1 < len(g) <= 10}
    if not groups:
        return ''
    field = max(groups, key=lambda f: _difference(groups[f]))
    parts = [
        f'{n} of {of} at {value_text(value)}'
        for value, (n, of) in groups[field].items()
    ]
    return f'by {fields[field]}: {", ".join(parts)}'


def lineage(study: Study) -> str:
    """Returns the family of the members as a tree of text, '' where there are no forks.

    A parent that is not in the study stands in it by its path.
    """
    if not any(member.lineage for member in study.members):
        return ''
    children: dict[str, list[tuple[str, str]]] = {}
    labels = {
        member.name: f'{member.name}: {brief(member)}' for member in study.members
    }
    born = set()
    for member in study.members:
        child, origin = member.name, member.lineage
        while origin and child not in born:
            parent = parent_name(study, origin)
            labels.setdefault(parent, f'{parent} (not in this report)')
            born.add(child)
            children.setdefault(parent, []).append((changes(origin), child))
            child, origin = parent, origin['lineage']
    roots = [name for name in labels if name not in born]
    return '\n'.join(line for root in roots for line in _tree(root, labels, children))


def parent_name(study: Study, origin: Mapping[str, Any]) -> str:
    """Returns the member that a fork began from, or the path of a run that is none."""
    parent = Path(origin['parent']).resolve()
    names = [m.name for m in study.members if m.folder.resolve() == parent]
    return names[0] if names else origin['parent']


def changes(origin: Mapping[str, Any]) -> str:
    """Returns where a fork began and what it changed, in words."""
    short = short_names(origin['changes'])
    parts = [
        f'{short[name]}: {value_text(old)} to {value_text(new)}'
        for name, (old, new) in origin['changes'].items()
    ]
    return f'from step {origin["step"]:,}, {", ".join(parts) or "nothing changed"}'


def _tree(name: str, labels: dict, children: dict, above: str = ''):
    if not above:
        yield labels[name]
    last = len(children.get(name, ())) - 1
    for number, (what, child) in enumerate(children.get(name, ())):
        corner, rule = ('└─ ', '   ') if number == last else ('├─ ', '│  ')
        yield f'{above}{corner}{what}'
        yield f'{above}{rule}{labels[child]}'
        yield from _tree(child, labels, children, above + rule)


def _reason(member: Member) -> str:
    layer, trend = member.outcome.get('layer'), member.outcome.get('trend')
    if member.verdict == 'failed':
        return f': {(member.error or "no message").splitlines()[-1].rstrip(".")}'
    if member.verdict == 'dead' and layer:
        return f'; the first block to go silent is {layer}'
    if member.verdict == 'diverged' and layer:
        return f'; first not finite: {layer}'
    if member.verdict == 'dying' and trend is not None:
        return (
            f'; the share of dead channels changes by {trend:+.2g} points in 100 steps'
        )
    return ''


def _count(
    rows: Sequence[Row], field: str, verdicts: Sequence[str]
) -> dict[Any, tuple[int, int]]:
    """Returns by value how many rows have one of the verdicts, and of how many."""
    groups = {
        value: [row['verdict'] in verdicts for row in rows if row[field] == value]
        for value in ordered(row[field] for row in rows)
    }
    return {value: (sum(group), len(group)) for value, group in groups.items()}


def _difference(counts: Mapping[Any, tuple[int, int]]) -> float:
    """Returns how far the shares of groups are apart: a group weighs as its members."""
    mean = sum(n for n, _ in counts.values()) / sum(of for _, of in counts.values())
    return sum(of * (n / of - mean) ** 2 for n, of in counts.values())


def _joined(words: Sequence[str]) -> str:
    return ' and '.join([', '.join(words[:-1]), words[-1]] if words[1:] else words)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _number(value: float | None, form: str) -> str:
    return 'not finite' if value is None else format(value, form)
