"""The examples in docstrings run and print what they say."""

import doctest
import importlib

import pytest
from helpers.house import PACKAGE, source_files

WITH_EXAMPLES = [path for path in source_files() if '>>> ' in path.read_text()]


@pytest.mark.parametrize(
    'path', WITH_EXAMPLES, ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_the_examples_of_a_file_run(path):
    module = '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts)
    assert doctest.testmod(importlib.import_module(module)).failed == 0
