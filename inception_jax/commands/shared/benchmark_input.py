"""benchmark --what input: how fast images come from the files to the devices."""

import argparse
import json
from collections.abc import Callable

from inception_jax.commands.shared.cli import markdown_table
from inception_jax.config.files import load_config
from inception_jax.config.overrides import parse_overrides


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Measures the training input of a config.

    Raises:
      ValueError: there is no such config or source, its batch does not divide over the
        devices, or there is no time.
    """
    from inception_jax.config.experiment import experiment
    from inception_jax.data.sources.open import open_source
    from inception_jax.parallel.mesh import check_batch_size, device_mesh

    if options.config is None:
        raise ValueError('--what input needs --config FILE, as for train; see configs/')
    chosen = experiment(load_config(options.config, **parse_overrides(rest)))
    check_batch_size(chosen.run.batch_size, device_mesh())
    data = chosen.data
    source = open_source(data.source, data.train_split, data_dir=data.data_dir)

    def work() -> int:
        from inception_jax.data.example import Unreadable
        from inception_jax.data.prefetch import LostWorker
        from inception_jax.runtime.signals import Stopped
        from inception_jax.speed.input import measure_input

        try:
            found = measure_input(chosen, source, options.seconds)
        except (Unreadable, LostWorker) as error:
            raise Stopped(
                f'{error}; with config.data.on_unreadable=skip it does not count'
                if isinstance(error, Unreadable)
                else str(error)
            ) from error
        show = _json if options.format == 'json' else _text
        print(show(chosen, source, found))
        return 0

    return work


def _json(chosen, source, found) -> str:
    asked = {
        'source': chosen.data.source,
        'split': chosen.data.train_split,
        'images': len(source),
        'size': chosen.network.input_size,
        'batch_size': chosen.run.batch_size,
    }
    return json.dumps(asked | found._asdict())


def _text(chosen, source, found) -> str:
    import jax

    batch, size = chosen.run.batch_size, chosen.network.input_size
    device = jax.devices()[0].device_kind
    plural = 'es' if found.workers > 1 else ''
    who = f'{found.workers} process{plural}' if found.workers else 'threads'
    return '\n'.join(
        [
            f'{chosen.data.source} {chosen.data.train_split}, {len(source):,} images; '
            f'crops of {size} x {size}, batches of {batch}',
            '',
            markdown_table(
                ('one thread', 'microseconds an image', 'share'),
                _shares(found.stages),
            ),
            '',
            markdown_table(
                ('to the device', 'images/s'),
                [
                    ('one thread', f'{found.one_thread:,.0f}'),
                    (f'{found.cores} cores, {who}', f'{found.all_cores:,.0f}'),
                ],
            ),
            '',
            f'Steps of {1e3 * batch / found.all_cores:,.1f} ms or more do not wait.',
            '',
            markdown_table(
                (f'on the device ({device})', 'microseconds an image'),
                [(name, f'{1e6 * took:,.1f}') for name, took in found.device.items()],
            ),
        ]
    )


def _shares(stages: dict[str, float]) -> list[tuple[str, ...]]:
    whole = sum(stages.values())
    return [
        (name, f'{1e6 * took:,.0f}', f'{100 * took / whole:.0f} %')
        for name, took in stages.items()
    ]
