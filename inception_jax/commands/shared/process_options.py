"""What connects the processes of one run, and the options that name them."""

import argparse

# A process that says nothing for so long is lost, and the others end.
HEARTBEAT_SECONDS = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('several processes, one command for each')
    group.add_argument(
        '--distributed',
        action='store_true',
        help='find the others by themselves: on TPU pods, SLURM, Kubernetes, Open MPI',
    )
    group.add_argument(
        '--coordinator', metavar='HOST:PORT', help='where process 0 listens'
    )
    group.add_argument('--process-id', type=int, metavar='I', help='from 0 on')
    group.add_argument('--num-processes', type=int, metavar='N')


def connect(options: argparse.Namespace) -> None:
    """Connects this process to the others, if the options name any; waits for them.

    Raises:
      ValueError: the options are not complete, or the others cannot be found.
    """
    by_hand = (options.coordinator, options.process_id, options.num_processes)
    given = [value is not None for value in by_hand]
    if not options.distributed and not any(given):
        return
    if any(given) and not all(given):
        raise ValueError(
            'of --coordinator, --process-id and --num-processes some are missing; '
            'give all three, or --distributed alone where a cluster knows them'
        )
    if all(given) and not 0 <= options.process_id < options.num_processes:
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
            f'the processes cannot connect ({reason}); where no cluster names them, '
            'give --coordinator, --process-id and --num-processes'
        ) from error
