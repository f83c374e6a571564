"""Connects the processes of one run, and declares the options for it."""

import argparse

# A process that is silent for so long is lost, and the others end.
HEARTBEAT_SECONDS = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('several processes, one command for each')
    group.add_argument(
        '--distributed',
        action='store_true',
        help='find the other processes automatically: on TPU pods, SLURM, Kubernetes '
        'and Open MPI',
    )
    group.add_argument(
        '--coordinator', metavar='HOST:PORT', help='address at which process 0 listens'
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
    """Waits for the other processes and connects to them, if the options name any.

    Raises:
      ValueError: the options are not complete, or the others cannot be found.
    """
    by_hand = (options.coordinator, options.process_id, options.num_processes)
    are_set = [value is not None for value in by_hand]
    if not options.distributed and not any(are_set):
        return
    if any(are_set) and not all(are_set):
        raise ValueError(
            '--coordinator, --process-id and --num-processes belong together; give all '
            'three, or --distributed alone where a cluster knows them'
        )
    if all(are_set) and not 0 <= options.process_id < options.num_processes:
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
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f'the processes cannot connect ({reason}); without a cluster that names '
            'them, give --coordinator, --process-id and --num-processes'
        ) from error
