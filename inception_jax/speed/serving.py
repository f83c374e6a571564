"""The measuring process: answers each request, a line of JSON, with a line of JSON.

A request names the function to call by `do`; its other fields are keyword arguments. A
reply is the dict that the function returns. If the user can repair the cause of a
failure, the reply is `{"mistake": text}`; for any other exception it is
`{"failed": text}`. Both end the process, and so does the end of stdin.

`speed.ours` and the programs in benchmarks/peers import this file. It needs only the
standard library, because the interpreter of a peer may have no JAX.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping


class Mistake(Exception):
    """Something that the user has to repair; the message is one line."""


def serve(functions: Mapping[str, Callable[..., dict]]) -> int:
    """Answers requests by these functions until stdin ends; returns the exit status."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), 'w')
    # Output that a library prints must not look like a reply.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        reply = _reply(functions[request.pop('do')], request)
        print(json.dumps(reply), file=replies, flush=True)
        if {'failed', 'mistake'} & {*reply}:
            return 1
    return 0


def _reply(function: Callable[..., dict], request: dict) -> dict:
    try:
        return function(**request)
    except Mistake as error:
        return {'mistake': str(error)}
    except Exception as error:
        traceback.print_exc()
        reason = (str(error).strip() or 'no reason given').splitlines()[0]
        return {'failed': f'{type(error).__name__}: {reason}'}


def time_steps(run_steps: Callable[[int], None], count: int, before: int) -> dict:
    """Returns the seconds that `count` steps take, after `before` untimed steps.

    `run_steps(n)` runs n steps and waits until the device has finished them.
    """
    run_steps(before)
    start = time.perf_counter()
    run_steps(count)
    return {'seconds': time.perf_counter() - start}


def peak_memory(device_bytes: int | None) -> dict:
    """Returns the peak memory in bytes: of a device, or of this process.

    `device_bytes` is None if the device has no memory of its own.
    """
    if device_bytes is not None:
        return {'peak_bytes': device_bytes, 'peak_of': 'a device'}
    return {'peak_bytes': peak_resident_bytes(), 'peak_of': 'the process'}


def peak_resident_bytes() -> int:
    """Returns the largest resident memory of this process so far, in bytes.

    Linux's own figure is preferred: getrusage also counts the memory of the process
    that started this one.
    """
    try:
        with open('/proc/self/status') as status:
            line = next(line for line in status if line.startswith('VmHWM'))
        return 1024 * int(line.split()[1])
    except (OSError, StopIteration):
        unit = 1 if sys.platform == 'darwin' else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
