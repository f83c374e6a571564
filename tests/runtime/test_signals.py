"""The first signal is reported, its echo is ignored, and a second signal ends."""

import signal

import pytest

from inception_jax.runtime import signals


def test_the_first_signal_is_caught():
    with signals.watch_signals() as caught:
        assert caught() is None
        signal.raise_signal(signal.SIGTERM)
        assert caught() == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_that_comes_twice_at_once_is_one(monkeypatch):
    monkeypatch.setattr(signals, 'SAME_SIGNAL_SECONDS', 1e9)
    with signals.watch_signals() as caught:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert caught() == signal.SIGTERM


def test_a_second_signal_does_what_it_would_have_done(monkeypatch):
    monkeypatch.setattr(signals, 'SAME_SIGNAL_SECONDS', -1.0)
    with signals.watch_signals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
