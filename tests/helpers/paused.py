"""Runs a command that stops after a line of its output until stdin has a line too.

Command   python -m helpers.paused START COMMAND ..., START the beginning of the line

A signal that is sent meanwhile comes at this very place, however slow the machine is.
"""

import runpy
import sys


class Paused:
    """A stream that waits after each line with this beginning."""

    def __init__(self, stream, start):
        self.stream, self.start, self.line = stream, start, ''

    def write(self, text):
        count = self.stream.write(text)
        *lines, rest = (self.line + text).split('\n')
        self.line = rest
        if any(line.startswith(self.start) for line in lines):
            self.stream.flush()
            sys.stdin.readline()
        return count

    def __getattr__(self, name):
        return getattr(self.stream, name)


if __name__ == '__main__':
    start = sys.argv.pop(1)
    sys.stdout = Paused(sys.stdout, start)
    runpy.run_module('inception_jax', run_name='__main__', alter_sys=True)
