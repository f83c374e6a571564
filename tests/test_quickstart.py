"""README.md and docs/quickstart.md: the length and the commands that are cheap."""

import re
import shlex

import pytest
from helpers.paths import ROOT

from inception_jax.__main__ import main

NAMES = ('README.md', 'docs/quickstart.md')
TEXTS = [(ROOT / name).read_text().replace('\\\n', '') for name in NAMES]
COMMANDS = re.findall(
    r'^python -m inception_jax (describe .+)$', '\n'.join(TEXTS), re.M
)


def test_the_readme_has_at_most_700_words():
    assert len(TEXTS[0].split()) <= 700


@pytest.mark.parametrize('command', COMMANDS)
def test_a_describe_command_runs(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out or any(tmp_path.iterdir())


def test_the_table_of_the_quickstart_is_what_describe_prints(capsys):
    (block,) = re.findall(r'```\n(inception_resnet_v2: .+?)```', TEXTS[1], re.S)
    main(['describe', 'inception_resnet_v2'])
    assert capsys.readouterr().out.startswith(block)
