"""The limit of open files grows with the data, up to the hard limit."""

import resource

from inception_jax.runtime.open_files import allow_open_files


def limits_after(monkeypatch, count, soft, hard):
    limits = []
    monkeypatch.setattr(resource, 'getrlimit', lambda kind: (soft, hard))
    monkeypatch.setattr(resource, 'setrlimit', lambda kind, pair: limits.append(pair))
    allow_open_files(count)
    return limits


def test_the_soft_limit_grows_up_to_the_hard_limit(monkeypatch):
    assert limits_after(monkeypatch, 1024, 1024, 4096) == [(2048, 4096)]
    assert limits_after(monkeypatch, 9999, 1024, 4096) == [(4096, 4096)]
    assert limits_after(monkeypatch, 9, 1024, resource.RLIM_INFINITY) == [
        (1033, resource.RLIM_INFINITY)
    ]


def test_a_process_without_a_limit_keeps_it(monkeypatch):
    infinite = resource.RLIM_INFINITY
    assert limits_after(monkeypatch, 9, infinite, infinite) == []
