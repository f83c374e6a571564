"""The generated parts of pages in docs/, each between two comments that name it.

`make docs` writes the parts anew. `python tests/helpers/pages.py PAGE` also runs the
commands in the console blocks of a page, and writes their present output. They run in a
temporary folder with the configs and the image of a handwritten three.
"""

import argparse
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from inception_jax.__main__ import COMMANDS
from inception_jax.config.reference import config_reference

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / 'docs/config.md', ROOT / 'docs/commands.md')
PART = re.compile(r'(<!-- generated: (\S+) -->\n).*?(<!-- end -->)', re.S)
CONSOLE = re.compile(r'(?<=```console\n).*?(?=```)', re.S)
FLAG = re.compile(r'(?<![\w-])--[A-Za-z][\w.=-]*\w')
COMMAND = re.compile(r'^\$ ((?:.*\\\n)*.*)', re.M)


def filled(page: str, parts: Mapping[str, str]) -> str:
    """Returns a page with the text of each generated part in its place."""
    return PART.sub(lambda part: f'{part[1]}\n{parts[part[2]]}\n\n{part[3]}', page)


def generated_parts() -> dict[str, str]:
    """Returns the generated parts of all pages by name."""
    index = [f'| [`{name}`](#{name}) | {c.HELP} |' for name, c in COMMANDS.items()]
    parts = {'commands': '\n'.join(['| command | purpose |', '|---|---|', *index])}
    for name, command in COMMANDS.items():
        parts |= {name: _purpose(command), f'{name}.options': _options(command)}
    for field in config_reference():
        before = parts.get(f'config.{field.section}', '')
        parts[f'config.{field.section}'] = f'{before}\n{_line(field)}'.lstrip()
    return parts


def _purpose(command) -> str:
    details = FLAG.sub(r'`\g<0>`', getattr(command, 'DETAILS', ''))
    return f'{_capital(command.HELP)}.\n\n{details}'.rstrip()


def _options(command) -> str:
    """Returns the options of a command as lists, which are the same on every Python."""
    parser = argparse.ArgumentParser(add_help=False)
    command.arguments(parser)
    formatter = parser._get_formatter()
    lines = []
    for group in filter(lambda group: group._group_actions, parser._action_groups):
        description = FLAG.sub(r'`\g<0>`', f': {group.description or ""}').rstrip(': ')
        lines += [f'**{_capital(group.title)}**{description}', '']
        for action in group._group_actions:
            if action.help == argparse.SUPPRESS:  # An old spelling.
                continue
            name = formatter._format_action_invocation(action)
            meaning = FLAG.sub(r'`\g<0>`', formatter._expand_help(action))
            lines.append(f'- `{name}`: {meaning}')
        lines.append('')
    return '\n'.join(lines[:-1])


def _capital(sentence: str) -> str:
    return f'{sentence[0].upper()}{sentence[1:]}'


def _line(field) -> str:
    required = field.default is dataclasses.MISSING
    default = 'required' if required else f'default `{field.default!r}`'
    resume = ' **May change on resume.**' if field.may_change else ''
    return f'- `{field.name}` ({field.type}; {default}): {field.meaning}.{resume}'


def run_again(page: str) -> str:
    """Returns a page with the present output of the commands in its console blocks."""
    from PIL import Image
    from sklearn.datasets import load_digits

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / 'configs', f'{folder}/configs')
        os.mkdir(f'{folder}/photos')
        three = (load_digits().images[3] * 15).astype('uint8')
        Image.fromarray(three).save(f'{folder}/photos/three.png')
        return CONSOLE.sub(lambda block: _run_block(block[0], folder), page)


def _run_block(block: str, folder: str) -> str:
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    environment = os.environ | {'PATH': path, 'PYTHONPATH': str(ROOT)}
    lines = []
    for command in COMMAND.findall(block):
        result = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        lines += [f'$ {command}', *map(str.rstrip, result.stdout.splitlines())]
    return '\n'.join([*lines, ''])


if __name__ == '__main__':
    for page in PAGES:
        page.write_text(filled(page.read_text(), generated_parts()))
    for page in map(Path, sys.argv[1:]):
        page.write_text(run_again(page.read_text()))
