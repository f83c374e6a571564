"""What benchmark measured of a network, as tables in Markdown."""

from collections.abc import Iterator, Mapping

from inception_jax.commands.shared.cli import markdown_table

GIB = 2.0**30
SPEED = ('', '', 'images/s', 'range', 'GFLOP/s', 'of a matrix product')
COST = (
    *('', '', 'start-up, s', 'tracing, s', 'compiling, s', 'first step, s'),
    *('peak memory, GiB', 'compiler: temporaries, GiB'),
)


def benchmark_text(told: Mapping) -> str:
    """Returns what `benchmark_networks` tells."""
    sections = [
        _head(told),
        markdown_table(SPEED, [_speed(*row) for row in _rows(told)]),
        *_ratios(told),
        markdown_table(COST, [_cost(*row) for row in _rows(told)]),
        _footnotes(told),
    ]
    return '\n\n'.join(sections)


def _rows(told: Mapping) -> Iterator[tuple[str, str, Mapping]]:
    """Yields each part and side, what it is called and what was found."""
    for part, found in told['parts'].items():
        yield part, told['network'], found['ours']
        if 'peer' in found:
            setting = found['peer']['setting']
            yield part, f'{told["against"]}, {setting}', found['peer']


def _head(told: Mapping) -> str:
    device, size = told['device'], told['input_size']
    scaled = ''
    if (told['width'], told['depth']) != (1.0, 1.0):
        scaled = f' (width {told["width"]:g}, depth {told["depth"]:g})'
    lines = [
        f'{told["network"]}{scaled}, images of {size} x {size}, batches of '
        f'{told["batch_size"]}, {told["dtype"]}; {1e-9 * told["macs"]:.3g} billion '
        'multiply-adds an image',
        f'{device["devices"]} x {device["kind"]}, {told["cores"]} cores; '
        + _versions(device['versions']),
    ]
    if 'against' in told:
        lines.append(
            f'beside {told["peer_network"]} of {_versions(device["peer_versions"])}'
        )
    if 'against' in told and not told['same_network']:
        lines.append(
            f"{told['against']}'s {told['peer_network']} is another network, the "
            f'nearest it has: {1e-9 * told["peer_macs"]:.3g} billion multiply-adds'
        )
    return '\n'.join(lines)


def _versions(versions: Mapping[str, str]) -> str:
    return ', '.join(f'{name} {version}' for name, version in versions.items())


def _speed(part: str, side: str, found: Mapping) -> tuple[str, ...]:
    rate, share = found['images_per_second'], found['share_of_matmul']['median']
    return (
        part,
        side,
        _digits(rate['median']),
        f'{_digits(rate["least"])} to {_digits(rate["greatest"])}',
        f'{1e-9 * found["flops_per_second"]["median"]:,.0f}',
        f'{100 * share:.0f} %',
    )


def _cost(part: str, side: str, found: Mapping) -> tuple[str, ...]:
    planned = (found.get('compiler_memory') or {}).get('temp')
    return (
        part,
        side,
        f'{found["startup_seconds"]:.1f}',
        *(
            f'{found[name]:.1f}' if name in found else '-'
            for name in ('trace_seconds', 'compile_seconds', 'first_step_seconds')
        ),
        f'{found["peak_bytes"] / GIB:.2f}',
        '-' if planned is None else f'{planned / GIB:.2f}',
    )


def _ratios(told: Mapping) -> list[str]:
    sides = f'{told["network"]} / {told.get("against")}'
    lines = [
        f'{part}, {sides}: {ratio["median"]:.2f} '
        f'({ratio["least"]:.2f} to {ratio["greatest"]:.2f})'
        for part, found in told['parts'].items()
        if (ratio := found.get('ratio'))
    ]
    return ['\n'.join(lines)] if lines else []


def _footnotes(told: Mapping) -> str:
    (*_, found) = told['parts'].values()
    rates = ', '.join(
        f'{1e-9 * one["matmul_flops_per_second"]["median"]:,.0f} GFLOP/s ({part})'
        for part, one in told['parts'].items()
    )
    return '\n'.join(
        [
            f'Matrix product in {told["dtype"]}, beside each round: {rates}.',
            f'Peak memory is that of {found["ours"]["peak_of"]}; start-up is from the '
            "process's start to the end of the first step.",
        ]
    )


def _digits(rate: float) -> str:
    """Returns three digits or more of a rate."""
    places = 0 if rate >= 100 else 1 if rate >= 10 else 2
    return f'{rate:,.{places}f}'
