"""Options that name the processes of one run, and their connection."""

import argparse
import math

from inception_jax.runtime.messages import first_line

# A process without a sign of life for this long is lost, and the others end.
HEARTBEAT_SECONDS = 60
LONGEST_WAIT = 86_400


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        'several processes',
        'Start the same command in each process. On a cluster give --distributed, '
        'otherwise --coordinator, --process-id and --num-processes.',
    )
    group.add_argument(
        '--distributed',
        action='store_true',
        help='find the other processes through the cluster: a TPU pod, SLURM, '
        'Kubernetes or Open MPI (default: one process)',
    )
    group.add_argument(
        '--coordinator',
        metavar='HOST:PORT',
        help='address at which process 0 listens (default: one process)',
    )
    group.add_argument(
        '--process-id',
        type=int,
        metavar='I',
        help='number of this process, counted from 0 (default: one process)',
    )
    group.add_argument(
        '--num-processes',
        type=int,
        metavar='N',
        help='number of processes (default: one process)',
    )
    group.add_argument(
        '--wait-seconds',
        type=float,
        default=300.0,
        metavar='S',
        help='seconds to wait for the other processes (default: %(default)g)',
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
    if not 0 < options.wait_seconds <= LONGEST_WAIT:
        raise ValueError(
            f'--wait-seconds {options.wait_seconds:g}; expected more than 0, up to '
            f'{LONGEST_WAIT:,}'
        )
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
    address, count, index, devices = _resolved(options)
    if count == 1:
        return
    from inception_jax.runtime import processes
    from inception_jax.runtime.rendezvous import connect as connect_to_others

    processes.join(
        connect_to_others(address, index, count, seconds=options.wait_seconds)
    )
    import jax

    jax.config.update('jax_enable_preemption_service', True)
    with processes.failing_together(2, ValueError, RuntimeError):
        jax.distributed.initialize(
            address,
            count,
            index,
            devices,
            initialization_timeout=math.ceil(options.wait_seconds),
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )


def _resolved(options: argparse.Namespace) -> tuple:
    """Returns address, number of processes, this process and its devices.

    Raises:
      ValueError: JAX does not know the cluster.
    """
    by_hand = (options.coordinator, options.num_processes, options.process_id, None)
    if not options.distributed:
        return by_hand
    try:
        # JAX has no public way to ask a cluster for the address of its processes.
        from jax._src.clusters import ClusterEnv

        resolved = ClusterEnv.auto_detect_unset_distributed_params(
            *by_hand, None, math.ceil(options.wait_seconds)
        )
    except Exception as error:  # Any kind, since newer JAX may have another function.
        resolved, reason = by_hand, first_line(error)
    else:
        reason = 'no cluster that JAX knows'
    if None in resolved[:3]:
        raise ValueError(
            f'the processes cannot connect ({reason}); without a cluster, give '
            '--coordinator, --process-id and --num-processes'
        )
    return resolved
