"""benchmark --what input: the speed of the input, from the files to the devices."""

import argparse
import json
from collections.abc import Callable

from inception_jax.commands.shared.cli import markdown_table
from inception_jax.config.files import load_config
from inception_jax.config.overrides import parse_overrides
from inception_jax.runtime.amounts import counted


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Checks the config and returns the work: to measure its training input and print.

    Raises:
      ValueError: the config or its source does not exist, or the batch does not divide
        over the devices.
    """
    from inception_jax.config.experiment import experiment as experiment_of
    from inception_jax.data.sources.open import open_source
    from inception_jax.parallel.mesh import check_batch_size, device_mesh

    if options.config is None:
        raise ValueError('--what input needs --config FILE, as for train; see configs/')
    experiment = experiment_of(load_config(options.config, **parse_overrides(rest)))
    check_batch_size(experiment.run.batch_size, device_mesh())
    data = experiment.data
    source = open_source(data.source, data.train_split, data_dir=data.data_dir)

    def work() -> int:
        from inception_jax.data.example import Unreadable
        from inception_jax.data.prefetch import LostWorker
        from inception_jax.runtime.signals import Stopped
        from inception_jax.speed.input import measure_input

        try:
            speed = measure_input(experiment, source, options.seconds)
        except (Unreadable, LostWorker) as error:
            raise Stopped(
                f'{error}; set config.data.on_unreadable=skip to skip such images'
                if isinstance(error, Unreadable)
                else str(error)
            ) from error
        show = _json if options.format == 'json' else _text
        print(show(experiment, source, speed))
        return 0

    return work


def _json(experiment, source, speed) -> str:
    conditions = {
        'source': experiment.data.source,
        'split': experiment.data.train_split,
        'images': len(source),
        'size': experiment.network.input_size,
        'batch_size': experiment.run.batch_size,
    }
    return json.dumps(conditions | speed._asdict())


def _text(experiment, source, speed) -> str:
    import jax

    batch, size = experiment.run.batch_size, experiment.network.input_size
    device = jax.devices()[0].device_kind
    processes = counted(speed.workers or 0, 'process', 'processes')
    workers = processes if speed.workers else 'threads'
    cores = counted(speed.cores, 'core')
    data = experiment.data
    return '\n'.join(
        [
            f'{data.source} {data.train_split}, {counted(len(source), "image")}; '
            f'crops of {size} x {size}, batches of {batch}',
            '',
            markdown_table(
                ('one thread', 'microseconds an image', 'share'),
                _shares(speed.stages),
            ),
            '',
            markdown_table(
                ('to the device', 'images/s'),
                [
                    ('one thread', f'{speed.one_thread:,.0f}'),
                    (f'{cores}, {workers}', f'{speed.all_cores:,.0f}'),
                ],
            ),
            '',
            f'Steps of {1e3 * batch / speed.all_cores:,.1f} ms or more do not wait.',
            '',
            markdown_table(
                (f'on the device ({device})', 'microseconds an image'),
                [
                    (name, f'{1e6 * seconds:,.1f}')
                    for name, seconds in speed.device.items()
                ],
            ),
        ]
    )


def _shares(stages: dict[str, float]) -> list[tuple[str, ...]]:
    whole = sum(stages.values())
    return [
        (name, f'{1e6 * seconds:,.0f}', f'{100 * seconds / whole:.0f} %')
        for name, seconds in stages.items()
    ]
