"""The report of benchmark on a network, as tables in Markdown."""

from collections.abc import Iterator, Mapping

from inception_jax.commands.shared.cli import markdown_table
from inception_jax.runtime.amounts import counted, memory_text

SPEED = ('part', 'measured', 'images/s', 'range', 'GFLOP/s', 'of a matrix product')
COST = (
    *('part', 'measured', 'start-up, s', 'tracing, s', 'compiling, s'),
    *('first step, s', 'peak memory', 'temporaries'),
)


def benchmark_text(report: Mapping) -> str:
    """Returns a report of `speed.rates.comparison_report` as text."""
    sections = [
        _head(report),
        markdown_table(SPEED, [_speed(*row) for row in _rows(report)]),
        *_ratios(report),
        markdown_table(COST, [_cost(*row) for row in _rows(report)]),
        _footnotes(report),
    ]
    return '\n\n'.join(sections)


def _rows(report: Mapping) -> Iterator[tuple[str, str, Mapping]]:
    """Yields for each part and side the part, a label and the figures."""
    for part, sides in report['parts'].items():
        yield part, report['network'], sides['ours']
        if 'peer' in sides:
            setting = sides['peer']['setting']
            yield part, f'{report["against"]}, {setting}', sides['peer']


def _head(report: Mapping) -> str:
    device, size = report['device'], report['input_size']
    scaled = ''
    if (report['width'], report['depth']) != (1.0, 1.0):
        scaled = f' (width {report["width"]:g}, depth {report["depth"]:g})'
    lines = [
        f'{report["network"]}{scaled}, images of {size} x {size}, batches of '
        f'{report["batch_size"]}, {report["dtype"]}; '
        f'{1e-9 * report["macs"]:.3g} billion multiply-adds an image',
        f'{device["devices"]} x {device["kind"]}, {counted(report["cores"], "core")}; '
        + _versions(device['versions']),
    ]
    if 'against' in report:
        lines.append(
            f'beside {report["peer_network"]} of {_versions(device["peer_versions"])}'
        )
    if 'against' in report and not report['same_network']:
        lines.append(
            f"{report['against']}'s {report['peer_network']} is another network, the "
            f'nearest it has: {1e-9 * report["peer_macs"]:.3g} billion multiply-adds'
        )
    return '\n'.join(lines)


def _versions(versions: Mapping[str, str]) -> str:
    return ', '.join(f'{name} {version}' for name, version in versions.items())


def _speed(part: str, side: str, figures: Mapping) -> tuple[str, ...]:
    rate, share = figures['images_per_second'], figures['share_of_matmul']['median']
    return (
        part,
        side,
        _digits(rate['median']),
        f'{_digits(rate["least"])} to {_digits(rate["greatest"])}',
        f'{1e-9 * figures["flops_per_second"]["median"]:,.0f}',
        f'{100 * share:.0f} %',
    )


def _cost(part: str, side: str, figures: Mapping) -> tuple[str, ...]:
    planned = (figures.get('compiler_memory') or {}).get('temp')
    return (
        part,
        side,
        f'{figures["startup_seconds"]:.1f}',
        *(
            f'{figures[name]:.1f}' if name in figures else '-'
            for name in ('trace_seconds', 'compile_seconds', 'first_step_seconds')
        ),
        memory_text(figures['peak_bytes']),
        '-' if planned is None else memory_text(planned),
    )


def _ratios(report: Mapping) -> list[str]:
    networks = f'{report["network"]} / {report.get("against")}'
    lines = [
        f'{part}, {networks}: {ratio["median"]:.2f} '
        f'({ratio["least"]:.2f} to {ratio["greatest"]:.2f})'
        for part, figures in report['parts'].items()
        if (ratio := figures.get('ratio'))
    ]
    return ['\n'.join(lines)] if lines else []


def _footnotes(report: Mapping) -> str:
    (*_, last) = report['parts'].values()
    rates = ', '.join(
        f'{1e-9 * figures["matmul_flops_per_second"]["median"]:,.0f} GFLOP/s ({part})'
        for part, figures in report['parts'].items()
    )
    return '\n'.join(
        [
            f'Matrix product in {report["dtype"]}, beside each round: {rates}.',
            f'Peak memory is that of {last["ours"]["peak_of"]}; temporaries are '
            'those of the step, as the compiler plans them.',
            "Start-up is from the process's start to the end of the first step.",
        ]
    )


def _digits(rate: float) -> str:
    """Returns three digits or more of a rate."""
    places = 0 if rate >= 100 else 1 if rate >= 10 else 2
    return f'{rate:,.{places}f}'
