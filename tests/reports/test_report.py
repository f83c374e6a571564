"""The report of a run, of a sweep and of forks: files, words, the page as text."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest
from helpers import fake_runs
from helpers.fake_runs import Fate

from inception_jax.plots.quantities import BLOCK_QUANTITIES
from inception_jax.reports.page import study_page
from inception_jax.reports.report import report
from inception_jax.reports.study import read_study
from inception_jax.reports.table import table_rows
from inception_jax.runs.run import KEYS
from inception_jax.stability.verdicts import ORDER

ABOUT = json.dumps({key: {} for key in KEYS['config.json']})


class Page(HTMLParser):
    """The texts of table cells, the values of the page, and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.lines, self.headers, self.references, self._inside = [], [], [], []
        self.data, self.attributes = None, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ('meta', 'input', 'img', 'br', 'wbr'):
            self._inside.append((tag, dict(attributes)))
        self.attributes.append((tag, dict(attributes)))
        self.references += [v for n, v in attributes if n in ('src', 'href')]
        if tag == 'tr':
            self.lines.append([])
        if tag in ('td', 'th'):
            self.lines[-1].append('')

    def handle_endtag(self, tag):
        assert self._inside[-1][0] == tag, (tag, self._inside)
        self._inside.pop()

    def handle_data(self, data):
        tags = [tag for tag, _ in self._inside]
        if 'td' in tags or 'th' in tags:
            self.lines[-1][-1] += data
        if self._inside and self._inside[-1][1].get('id') == 'study':
            self.data = json.loads(data, parse_constant=pytest.fail)


@pytest.fixture(autouse=True)
def without_plotly(monkeypatch):
    """Leaves the five megabytes out where a page is only read."""
    monkeypatch.setattr(
        'inception_jax.reports.page.get_plotlyjs', lambda: '/* plotly */'
    )


def written(*folders):
    study = read_study(list(folders))
    return study_page(study, table_rows(study))


def test_a_sweeps_page_has_a_line_for_each_member_and_its_map(tmp_path):
    text = written(fake_runs.write_sweep(tmp_path, scales=(0.1, 1.0)))
    assert "<summary>Config before the members' changes</summary>" in text
    page = Page(text)
    head, *body = page.lines
    assert head[1:4] == ['residual scale', 'width', 'seed']
    assert head[4:11] == [
        'verdict',
        'since step',
        'where first',
        'silent channels, %',
        'below ln(classes), nats',
        'training top-1 error, %',
        'top-1 error, %',
    ]
    assert len(body) == 12
    name = 'residual_scale=1.0,width=1.0,seed=0'
    assert body[9][:7] == [name, '1', '1', '0', 'dead', '90', 'c_2']
    assert head.index('filters, final feature map') > 10
    grid = next(
        m for m in page.data['maps'] if (m['x'], m['y']) == ('residual_scale', 'width')
    )
    assert grid['columns'] == ['0.1', '1']
    assert grid['lines'] == ['0.25 (448 filters)', '1 (1,792 filters)']
    assert grid['cells'][1][1] == [9, 10, 11]
    assert (
        page.data['start'] | {'x': 'width', 'y': 'residual_scale'} == page.data['start']
    )
    assert page.data['members'][page.data['start']['member']]['verdict'] == 'dead'


def test_a_runs_page_has_its_curves_blocks_and_replays(tmp_path):
    folder = fake_runs.write_run(tmp_path / 'run', Fate('dead', 260))
    fake_runs.write_replay(folder, 200, 210)
    data = Page(written(folder)).data
    (member,) = data['members']
    assert {'train.gradient_norm', 'evaluation.top_1_error'} <= set(member['curves'])
    steps, values, marks = member['curves']['train.dead_channels']
    assert data['steps'][steps] == list(range(10, 601, 10))
    assert values[-1] == 100
    assert marks['lost'][0] == 260
    assert set(member['heat']) == {'run', '200 to 210'}
    assert member['newest_replay'] == '200 to 210'
    assert member['heat']['200 to 210']['steps'] == list(range(201, 211))
    assert data['blocks'][member['heat']['run']['blocks']] == list(fake_runs.BLOCKS)
    assert member['heat']['run']['values']['trunk_rms'][0][0] is None


def test_a_fork_is_drawn_from_its_origin_on(tmp_path):
    data = Page(written(*fake_runs.write_forks(tmp_path))).data
    early = next(m for m in data['members'] if m['name'] == 'early')
    steps, _, marks = early['curves']['train.cross_entropy']
    assert data['steps'][steps][0] == 100
    assert marks['origin'][0] == 100
    assert early['changes'] == 'from step 100, residual_scale: default to 0.1'


def test_a_page_asks_nothing_of_the_network(tmp_path):
    for text in (
        written(fake_runs.write_sweep(tmp_path / 'sweep', scales=(1.0,))),
        written(fake_runs.write_run(tmp_path / 'run')),
    ):
        assert Page(text).references == []
        assert not re.search(r'(https?:)?//[a-z]+\.|@import|url\(', text)
        assert "default-src 'none'" in text


def test_the_verdict_of_an_experiment_stands_above_its_map(tmp_path):
    folder = fake_runs.write_sweep(tmp_path, scales=(1.0,), widths=(1.0,))
    verdict = (
        '# Section 3.3\n\nWide networks <died>.\n\n* **holds**\n\n|a|b|\n|-|-|\n|1|2|\n'
    )
    (folder / 'verdict.md').write_text(verdict)
    text = written(folder)
    assert '>Section 3.3</h2>' in text
    assert text.index('<p>Wide networks &lt;died&gt;.</p>') < text.index(
        'Stability map'
    )
    assert '<li><strong>holds</strong></li>' in text
    assert '<tr><td>1</td><td>2</td></tr>' in text


def test_an_image_of_a_verdict_is_inside_the_page(tmp_path):
    folder = fake_runs.write_sweep(tmp_path, scales=(1.0,), widths=(1.0,))
    (folder / 'figures').mkdir()
    (folder / 'figures' / 'pairs.png').write_bytes(b'picture')
    (folder / 'secret.txt').write_text('secret')
    verdict = (
        '# Title\n\n![Our "curves"](figures/pairs.png)\n\n![gone](figures/no.png)\n'
        '\n![text](secret.txt)\n'
    )
    (folder / 'verdict.md').write_text(verdict)
    text = written(folder)
    (image,) = [a for tag, a in Page(text).attributes if tag == 'img']
    data = base64.b64encode(b'picture').decode()
    assert image == {'src': f'data:image/png;base64,{data}', 'alt': 'Our "curves"'}
    assert '<p>gone</p>' in text
    assert '<p>text</p>' in text
    assert '![' not in text.partition('<script')[0]


def test_verdicts_stand_in_one_order(tmp_path):
    text = written(fake_runs.write_sweep(tmp_path, scales=(0.1, 0.3, 1.0)))
    assert list(Page(text).data['verdicts']) == list(ORDER)
    options = re.findall(r'<option>(\w+)</option>', text)
    chips = re.findall(r'<li><span class="verdict (\w+)"', text)
    assert options == chips == list(ORDER)


def test_the_member_shown_at_first_is_the_first_in_the_order(tmp_path):
    folder = fake_runs.write_sweep(
        tmp_path, scales=(0.1, 0.3), widths=(1.0,), seeds=(2,)
    )
    data = Page(written(folder)).data
    assert [m['verdict'] for m in data['members']] == ['unfinished', 'failed']
    assert data['start']['member'] == 1


def test_a_sweep_with_a_damaged_member_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr('inception_jax.reports.report.draw_figures', lambda *_: [])
    folder = fake_runs.write_sweep(tmp_path, scales=(0.1,), widths=(0.25,))
    member = folder / 'members' / 'residual_scale=0.1,width=0.25,seed=1'
    (member / 'verdict.json').write_text('')
    assert '2 alive, 1 failed' in report([folder])
    data = Page((folder / 'report.html').read_text()).data
    assert [m['verdict'] for m in data['members']] == ['alive', 'failed', 'alive']
    assert 'verdict.json is damaged' in data['members'][1]['error']
    with pytest.raises(ValueError, match=r'verdict\.json is damaged'):
        report([member])


def test_names_and_errors_cannot_leave_their_place(tmp_path):
    bad = '</script><b>&"'
    members = {'a': {'run.seed': bad}, 'b': {}}
    sweep = {'config': fake_runs.base_config(), 'members': members}
    fake_runs.write_json(tmp_path / 'sweep.json', sweep)
    fake_runs.write_run(tmp_path / 'members' / 'a', Fate('failed'))
    (tmp_path / 'commands.log').write_text(f'now {bad}\n')
    text = written(tmp_path)
    assert '<b>' not in text
    assert bad in Page(text).lines[1]


@pytest.mark.parametrize('kind', ['fresh', 'failed', 'nulls', 'short', 'sweep'])
def test_a_run_that_has_hardly_begun_has_a_page_and_pictures(tmp_path, kind):
    if kind == 'sweep':
        members = {'a': {'run.seed': 0}, 'b': {'run.seed': 1}}
        sweep = {'config': fake_runs.base_config(), 'members': members}
        fake_runs.write_json(tmp_path / 'sweep.json', sweep)
    else:
        end = 5 if kind == 'short' else 600
        fates = {'failed': Fate('failed'), 'nulls': Fate('diverged', 1)}
        fake_runs.write_run(tmp_path, fates.get(kind, Fate('unfinished', end=end)))
    if kind == 'fresh':
        (tmp_path / 'metrics.jsonl').unlink()
    assert 'report.html' in report([tmp_path])
    assert Page((tmp_path / 'report.html').read_text()).data['members']


def test_a_large_sweep_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr('inception_jax.reports.page_data.POINTS', 24 * 60)
    monkeypatch.setattr('inception_jax.reports.page_data.NUMBERS', 24 * 9 * 8 * 12)
    text = written(fake_runs.write_sweep(tmp_path))
    data = Page(text).data
    assert all(
        len(values) <= 70
        for m in data['members']
        for _, values, _ in m['curves'].values()
    )
    assert len(data['members'][0]['heat']['run']['steps']) == 12


def test_several_runs_are_reported_beside_the_first(tmp_path):
    folders = fake_runs.write_forks(tmp_path)
    said = report(folders)
    assert (tmp_path / 'report.html').exists()
    assert 'early: alive' in said
    late = 'late dead since step 260 (before the fork)'
    assert f'base dead since step 260; {late}; early alive' in said
    assert not (folders[0] / 'report.html').exists()


def test_the_screen_says_what_was_written(tmp_path, monkeypatch):
    some = {name: BLOCK_QUANTITIES[name] for name in ('dead_channels', 'branch_ratio')}
    monkeypatch.setattr('inception_jax.reports.figures.BLOCK_QUANTITIES', some)
    folder = fake_runs.write_run(tmp_path / 'run', Fate('dead', 260))
    output = tmp_path / 'out' / 'page.html'
    said = report([folder], output)
    assert f'report      {output} (' in said
    assert 'Dead since step 260' in said
    pictures = output.parent / 'page_figures'
    assert '<code>page_figures</code> beside it' in output.read_text()
    for name in ('curves', 'heat_map_dead_channels', 'heat_map_branch_ratio'):
        assert name in said
        for kind in ('png', 'svg'):
            assert (pictures / f'{name}.{kind}').stat().st_size > 5_000


def test_pages_in_one_folder_have_figures_of_their_own(tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr(
        'inception_jax.reports.report.draw_figures',
        lambda *which: folders.append(which[-1]) or [],
    )
    folder = fake_runs.write_run(tmp_path / 'run')
    report([folder])
    report([folder], tmp_path / 'forks.html')
    assert folders == [folder / 'figures', tmp_path / 'forks_figures']
    assert '<code>figures</code> beside it' in (folder / 'report.html').read_text()


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({}, 'holds no run and no sweep; expected the folder of a run'),
        ({'config.json': '{'}, 'config.json is damaged'),
        ({'sweep.json': '{}'}, 'is not a file of a sweep'),
        ({'sweep.json': '{"config": {}, "members": {}}'}, 'names no members'),
        ({'config.json': '{}'}, 'config.json is not a file of a run'),
        ({'config.json': ABOUT, 'metrics.jsonl': 'x\n{}\n'}, 'line 1 of metrics.jsonl'),
    ],
)
def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        report([tmp_path])
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'report.html').exists()


def test_a_sweep_among_others_and_a_folder_given_twice_are_refused(tmp_path):
    run = fake_runs.write_run(tmp_path / 'run')
    fake_runs.write_json(tmp_path / 'sweep.json', {'config': {}, 'members': {}})
    with pytest.raises(ValueError, match='report a sweep alone'):
        report([run, tmp_path])
    with pytest.raises(ValueError, match='given twice'):
        report([run, run])
    with pytest.raises(ValueError, match='no folder was given'):
        report([])
    with pytest.raises(ValueError, match='does not exist'):
        report([tmp_path / 'nowhere'])


def test_plotly_stands_in_the_page_once(tmp_path):
    assert written(fake_runs.write_run(tmp_path)).count('/* plotly */') == 1


def test_a_folder_may_be_given_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr('inception_jax.reports.report.draw_figures', lambda *_: [])
    folder = fake_runs.write_run(tmp_path / 'run')
    summary = report(str(folder), str(tmp_path / 'page.html'))
    assert f'report      {tmp_path / "page.html"} (' in summary
    assert 'figures ' not in summary


def test_a_report_without_its_figures_is_a_page(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, 'No space left on device')

    run = fake_runs.write_run(tmp_path / 'run', Fate(end=60))
    monkeypatch.setattr('inception_jax.reports.figures.draw_figures', full)
    assert 'report.html' in report(run)
    assert (run / 'report.html').exists()
    assert 'are not all drawn' in capsys.readouterr().err
