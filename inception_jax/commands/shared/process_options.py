"""Options that name the processes of one run, and their connection."""

import argparse

from inception_jax.runtime.messages import first_line

# A process without a sign of life for this long is lost, and the others end.
HEARTBEAT_SECONDS = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('several processes, one command each')
    group.add_argument(
        '--distributed',
        action='store_true',
        help='find the other processes through the cluster: TPU pods, SLURM, '
        'Kubernetes, Open MPI',
    )
    group.add_argument(
        '--coordinator',
        metavar='HOST:PORT',
        help='address at which process 0 listens',
    )
    group.add_argument(
        '--process-id',
        type=int,
        metavar='I',
        help='number of this process, counted from 0',
    )
    group.add_argument(
        '--num-processes', type=int, metavar='N', help='number of processes'
    )


def connect(options: argparse.Namespace) -> None:
    """Connects this process to the others and waits for them, if the options name any.

    Raises:
      ValueError: options are missing, or the other processes cannot be found.
    """
    by_hand = (options.coordinator, options.process_id, options.num_processes)
    missing = [value is None for value in by_hand]
    if not options.distributed and all(missing):
        return
    if any(missing) and not all(missing):
        raise ValueError(
            'some of --coordinator, --process-id and --num-processes are missing; give '
            'all three, or --distributed alone on a cluster that JAX knows'
        )
    if not any(missing) and not 0 <= options.process_id < options.num_processes:
        raise ValueError(
            f'--process-id {options.process_id} of --num-processes '
            f'{options.num_processes}; expected 0 to {options.num_processes - 1}'
        )
    import jax

    jax.config.update('jax_enable_preemption_service', True)
    try:
        jax.distributed.initialize(
            options.coordinator,
            options.num_processes,
            options.process_id,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f'the processes cannot connect ({first_line(error)}); without a cluster, '
            'give --coordinator, --process-id and --num-processes'
        ) from error
