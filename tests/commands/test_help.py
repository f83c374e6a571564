"""--help: it is fast, and says what a command does, its defaults, and an example."""

import argparse
import os
import resource
import shlex
import subprocess
import sys

import pytest
from helpers.paths import ROOT

from inception_jax.__main__ import COMMANDS, PURPOSES, _parser, main

PARSERS = _parser()._subparsers._group_actions[0].choices
commands = pytest.mark.parametrize('name', COMMANDS)
HEAVY = {'jax', 'jaxlib', 'numpy', 'flax', 'orbax', 'grain'}
SECONDS = 0.5
MODULES = 300  # Python itself starts with 33.


def help_of(name, capsys):
    with pytest.raises(SystemExit, match='0'):
        main([name, '--help'])
    return capsys.readouterr().out


def cpu_seconds(*command):
    """Returns the CPU time of Python with some arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *command]
    subprocess.run(command, env=os.environ, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture(scope='module')
def start():
    """Returns the CPU time of Python's start."""
    return min(cpu_seconds('-c', 'pass') for _ in range(3))


@pytest.mark.slow  # On a busy machine the same work takes several times the CPU time.
@commands
def test_help_takes_less_than_half_a_second(name, start):
    runs = (cpu_seconds('-m', 'inception_jax', name, '--help') for _ in range(3))
    assert any(seconds - start < SECONDS for seconds in runs)


@commands
def test_help_imports_little(name):
    code = (
        'import contextlib, sys; from inception_jax.__main__ import main\n'
        'with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit):\n'
        f'    main([{name!r}, "--help"])\n'
        'print(*sys.modules)'
    )
    output = subprocess.check_output([sys.executable, '-c', code], text=True)
    names = output.split()
    assert 'inception_jax.__main__' in names
    assert not HEAVY & {module.split('.')[0] for module in names}
    assert len(names) < MODULES


def test_the_list_of_commands_has_a_line_for_each(capsys):
    with pytest.raises(SystemExit, match='0'):
        main(['--help'])
    lines = capsys.readouterr().out.splitlines()
    assert all(f'{purpose}:' in lines for purpose in PURPOSES)
    for name, command in COMMANDS.items():
        (line,) = [x for x in lines if x.startswith(f'  {name} ')]
        assert line.endswith(command.HELP)
        assert len(line) < 80


@commands
def test_help_begins_with_a_sentence_and_ends_with_examples(name, capsys):
    text = help_of(name, capsys)
    sentence = f'{COMMANDS[name].HELP[1:]}.'
    assert sentence in ' '.join(text.split())
    assert text.splitlines()[-1].startswith(f'  python -m inception_jax {name} ')


@commands
def test_the_options_of_examples_and_their_configs_exist(name):
    for example in COMMANDS[name].EXAMPLES:
        options, rest = PARSERS[name].parse_known_args(shlex.split(example))
        assert all(argument.startswith('--config.') for argument in rest)
        if config := getattr(options, 'config', None):
            assert (ROOT / config.partition(':')[0]).exists()


@commands
def test_each_option_says_its_default_or_that_it_is_required(name):
    for action in PARSERS[name]._actions:
        is_flag, is_argument = action.nargs == 0, not action.option_strings
        if argparse.SUPPRESS in (action.help, action.default) or is_flag:
            continue
        kind = 'required' if action.required else 'default: '
        if not (is_argument and action.required):
            assert f'({kind}' in action.help or '(required' in action.help, action.dest
            assert action.help.endswith(')'), action.dest


def test_classes_is_a_number_of_classes_wherever_help_shows_it():
    shown = [
        (action.type, action.help)
        for parser in PARSERS.values()
        for action in parser._actions
        if '--classes' in action.option_strings and action.help != argparse.SUPPRESS
    ]
    assert shown == [(int, 'number of classes (default: those of the network)')]


@pytest.mark.parametrize(
    ('command', 'field'),
    [
        ('ensemble a.npz --classes 3', 'worst_classes'),
        ('convert a b --classes 3', 'class_names'),
        ('predict --workdir a b.png --names 3', 'class_names'),
    ],
)
def test_the_old_spelling_of_an_option_prints_the_new_one(command, field, capsys):
    options, rest = _parser().parse_known_args(command.split())
    assert str(getattr(options, field)) == '3'
    assert rest == []
    assert f'is now --{field.replace("_", "-")};' in capsys.readouterr().err
