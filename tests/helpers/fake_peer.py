"""A fake peer in the protocol of `speed.serving`; its setting says how it behaves.

Command   python fake_peer.py, with requests on stdin
"""

import os
import signal
import sys
import time

from inception_jax.speed.serving import Mistake, serve

SECONDS = {'slow': 0.02, 'fast': 0.01}
last_request = {}


def hello(platform, network):
    if network == 'unknown':
        raise Mistake(f'fake has no network {network}')
    return {'versions': {'fake': '1.0'}}


def build(setting, **request):
    last_request.update(request, setting=setting)
    print('what a library prints is no answer', flush=True)
    match setting:
        case 'raises':
            raise MemoryError('out of memory\nand more')
        case 'dies':
            print('first line\nthe last line', file=sys.stderr)
            os._exit(3)
        case 'is killed':
            os.kill(os.getpid(), signal.SIGKILL)
    return {'prepare_seconds': 0.0, 'first_step_seconds': 0.0, 'request': last_request}


def steps(count, before):
    time.sleep(SECONDS[last_request['setting']] * count)
    return {'seconds': SECONDS[last_request['setting']] * count}


def memory():
    return {'peak_bytes': 2**30, 'peak_of': 'the process'}


if __name__ == '__main__':
    sys.exit(serve({'hello': hello, 'build': build, 'steps': steps, 'memory': memory}))
