"""The texts for people name files, functions, commands and fields that exist."""

import argparse
import ast
import importlib
import re
import textwrap

import pytest
from helpers.paths import ROOT

import inception_jax as ij
from inception_jax.__main__ import COMMANDS
from inception_jax.config.experiment import SECTIONS, config_fields

PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')])
PROGRAMS = sorted(
    path
    for folder in ('configs', 'experiments', 'benchmarks')
    for path in (ROOT / folder).rglob('*.py')
)
HOMES = tuple(
    ROOT / folder for folder in ('.', 'inception_jax', 'experiments', 'tests')
)
# Files of users, and the name that no file has.
ELSEWHERE = ('my_lab/nets.py', 'my_lab/small.py', 'experiments/NAME.py', 'utils.py')
# Not the label of a link, whose target is checked.
PATH = re.compile(r'(?<![\w/.*[-])[\w./-]*\w\.py\b|\b(?:docs|tests)/[\w./-]*\w')
COMMAND = re.compile(r'(-m inception_jax |`)([a-z][a-z-]*) ((?:\\\n|[^\n`])*)')
FLAG = re.compile(r'(?<![\w-])--[a-z][a-z-]*')
FIELD = re.compile(rf'(?:(?<![\w.])config\.|`)({"|".join(SECTIONS)})\.([a-z_]+)')


def text_of(path):
    """Returns a page, or the head of a program."""
    text = path.read_text()
    return text if path.suffix == '.md' else ast.get_docstring(ast.parse(text)) or ''


def flags_of(command):
    parser = argparse.ArgumentParser()
    COMMANDS[command].arguments(parser)
    return set(FLAG.findall(parser.format_help()))


def code_of(path):
    blocks = re.findall(r'^ *```python\n(.*?)^ *```', path.read_text(), re.S | re.M)
    return [ast.parse(textwrap.dedent(block)) for block in blocks]


pages = pytest.mark.parametrize('path', PAGES, ids=lambda path: path.name)
texts = pytest.mark.parametrize(
    'path', PAGES + PROGRAMS, ids=lambda path: str(path.relative_to(ROOT))
)


@pages
def test_relative_links_lead_to_files(path):
    links = re.findall(r'\]\((?!https?:)([^)#]+)', path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@texts
def test_paths_that_are_named_exist(path):
    names = set(PATH.findall(text_of(path))) - set(ELSEWHERE)
    homes = (*HOMES, path.parent)
    assert [n for n in names if not any((home / n).exists() for home in homes)] == []


@texts
def test_commands_and_their_options_exist(path):
    for start, command, options in COMMAND.findall(text_of(path)):
        if command in COMMANDS:
            assert set(FLAG.findall(options)) <= flags_of(command), (command, options)
        else:
            assert start == '`', f'no command {command}'


@texts
def test_config_fields_that_are_named_exist(path):
    # The changelog names modules of the past, such as `data.check`.
    text = '' if path.name == 'CHANGELOG.md' else text_of(path)
    for section, field in FIELD.findall(text):
        assert field in config_fields(SECTIONS[section]), f'config.{section}.{field}'


@pages
def test_the_names_of_code_blocks_exist(path):
    for node in (node for tree in code_of(path) for node in ast.walk(tree)):
        match node:
            case ast.ImportFrom(module=str(module)) if 'inception_jax' in module:
                value = importlib.import_module(module)
                assert all(hasattr(value, alias.name) for alias in node.names), module
            case ast.Attribute(value=ast.Name(id='ij'), attr=name):
                assert name in ij.__all__
