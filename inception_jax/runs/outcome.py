"""The outcome of a run: whether the content of verdict.json is final."""

from collections.abc import Mapping
from typing import Any


def is_finished(outcome: Mapping[str, Any]) -> bool:
    """Whether a run made all its steps or was ended by its verdict."""
    return is_ended(outcome) or outcome['steps_done'] >= outcome['steps']


def is_ended(outcome: Mapping[str, Any]) -> bool:
    """Whether the verdict ended the run before its last step."""
    # Files of older versions have no `ended`: a run ended when it diverged.
    return outcome.get('ended', outcome['verdict'] == 'diverged')
