"""The pages of the site: generated parts are new, and nothing is left out."""

import importlib.util
import re
from types import SimpleNamespace

from helpers.pages import PAGES, PART, filled, generated_parts
from helpers.paths import ROOT

import inception_jax as ij
from inception_jax.__main__ import COMMANDS


def test_the_generated_parts_of_pages_are_new():
    parts = generated_parts()
    texts = [path.read_text() for path in PAGES]
    assert [filled(text, parts) for text in texts] == texts, 'run make docs'
    assert {part[1] for text in texts for part in PART.findall(text)} == set(parts)


def test_every_command_has_an_example_with_its_output():
    sections = re.split(r'^## ', (ROOT / 'docs/commands.md').read_text(), flags=re.M)
    examples = {section.split('\n')[0]: section for section in sections[1:]}
    assert set(examples) == set(COMMANDS)
    for name, section in examples.items():
        start = rf'```console\n\$ python -m inception_jax {name} (?:.*\\\n)*.*\n[^`]'
        assert re.search(start, section), name


def test_the_page_on_python_has_every_public_name():
    names = re.findall(
        r'^::: inception_jax\.(?:.*\.)?(\w+)$',
        (ROOT / 'docs/python.md').read_text(),
        re.M,
    )
    assert len(names) == len(set(names))
    # Types of results are on the page too, for their methods.
    assert set(names) >= set(ij.__all__) - {'__version__'}


def test_the_page_on_python_links_to_every_notebook():
    page = (ROOT / 'docs/python.md').read_text()
    names = sorted(path.name for path in (ROOT / 'docs/notebooks').glob('*.py'))
    assert [name for name in names if f'](notebooks/{name})' not in page] == []


def test_a_link_out_of_docs_leads_to_the_repository():
    path = ROOT / 'docs/hooks/links.py'
    spec = importlib.util.spec_from_file_location('links', path)
    links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(links)
    page = SimpleNamespace(file=SimpleNamespace(src_uri='notebooks/a.md'))
    config = SimpleNamespace(repo_url='https://host/us')
    text = '[a](../../configs/a.py#b) [c](../scale.md) [d](https://x/../y) [e](#f)'
    assert links.on_page_markdown(text, page, config) == text.replace(
        '../../', 'https://host/us/blob/main/'
    )
    config.repo_url = None
    assert links.on_page_markdown(text, page, config).startswith('a [c]')
