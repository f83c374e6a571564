"""The measured side of a benchmark: answers requests, one line of JSON for each.

A request names what to `do`, with keyword arguments; the answer is a dict. What fails
is answered by `failed`, and what a user can repair by `mistake`; both end the process,
as does the end of the requests. Only the standard library is imported here.
"""

import json
import os
import resource
import sys
import traceback
from collections.abc import Callable, Mapping


class Mistake(Exception):
    """Something that the user has to repair, in one line."""


def serve(answers: Mapping[str, Callable[..., dict]]) -> int:
    """Answers until the requests end, and returns the exit status."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), 'w')
    # What a library prints is not an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        answer = _answer(answers[request.pop('do')], request)
        print(json.dumps(answer), file=replies, flush=True)
        if {'failed', 'mistake'} & {*answer}:
            return 1
    return 0


def _answer(function: Callable[..., dict], request: dict) -> dict:
    try:
        return function(**request)
    except Mistake as error:
        return {'mistake': str(error)}
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip() or 'no reason given').splitlines()[0]
        return {'failed': f'{type(error).__name__}: {first}'}


def peak_resident_bytes() -> int:
    """Returns the most memory that this process had.

    Linux's own figure, where there is one, for the other includes the process that
    started this one.
    """
    try:
        with open('/proc/self/status') as status:
            line = next(line for line in status if line.startswith('VmHWM'))
        return 1024 * int(line.split()[1])
    except (OSError, StopIteration):
        unit = 1 if sys.platform == 'darwin' else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
