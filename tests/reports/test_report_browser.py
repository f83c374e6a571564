"""The report in a real browser, from file:// and with no network at all."""

import base64

import pytest
from helpers import fake_runs
from helpers.browser import CHROMIUM, DRIVER, choose, column, dress, script, show, start
from helpers.fake_runs import Fate

from inception_jax.plots.grouping import group_by_map
from inception_jax.reports.report import report
from inception_jax.reports.study import read_study
from inception_jax.reports.table import table_rows

pytest.importorskip('selenium')
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason='needs chromium and chromedriver'
)
WIDE = '<svg xmlns="http://www.w3.org/2000/svg" width="3000" height="300"/>'
KINDS = ('sweep', 'run', 'forks')


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """Writes the three kinds of report; returns them by kind."""
    home = tmp_path_factory.mktemp('reports')
    run = fake_runs.write_run(home / 'run', Fate('dead', 260))
    fake_runs.write_replay(run, 200, 210)
    sweep = fake_runs.write_sweep(home / 'sweep', scales=(0.1, 1.0))
    (sweep / 'wide.svg').write_text(WIDE)
    (sweep / 'verdict.md').write_text('# It holds\n\n![Curves](wide.svg)\n')
    folders = {
        'sweep': [sweep],
        'run': [run],
        'forks': fake_runs.write_forks(home / 'forks'),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('inception_jax.reports.report.draw_figures', lambda *_: [])
        for kind, runs in folders.items():
            report(runs, home / f'{kind}.html')
    return {kind: home / f'{kind}.html' for kind in KINDS}


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    driver = start(tmp_path_factory.mktemp('profile'))
    yield driver
    driver.quit()


@pytest.fixture
def open_page(browser, pages):
    """Opens a kind of page at a width, in light or dark."""

    def go(kind, width=1280, scheme='light'):
        show(browser, pages[kind], width=width, scheme=scheme)
        WebDriverWait(browser, 300).until(
            lambda _: script(browser, 'document.body.dataset.ready') == 'true'
        )
        return browser

    return go


def header(browser, name):
    return browser.find_element(By.CSS_SELECTOR, f'#members th[data-column="{name}"]')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('width', [1280, 400])
def test_a_page_fits_asks_for_nothing_and_has_no_errors(open_page, kind, width):
    browser = open_page(kind, width)
    assert script(browser, 'document.documentElement.scrollWidth') == width
    plots = script(
        browser,
        """[...document.querySelectorAll('.plot')].map((p) =>
           [p.getBoundingClientRect().right, p.querySelectorAll('svg').length])""",
    )
    assert plots
    assert all(right <= width and drawn for right, drawn in plots)
    assert script(browser, "performance.getEntriesByType('resource').length") == 0
    assert browser.get_log('browser') == []


@pytest.mark.parametrize('kind', KINDS)
def test_dark_differs_from_light_and_follows_the_system(open_page, kind):
    browser = open_page(kind)

    def colours(scheme):
        dress(browser, scheme)
        return script(
            browser,
            """['body', '.plot svg .xtick text']
               .map((name) => getComputedStyle(document.querySelector(name)))
               .map((style, i) => i ? style.fill : style.backgroundColor)""",
        )

    light, dark = colours('light'), colours('dark')
    assert light[0] == 'rgb(255, 255, 255)'
    assert luminance(dark[1]) > luminance(dark[0]) + 100
    assert luminance(light[1]) < luminance(light[0]) - 100


@pytest.mark.parametrize('width', [1280, 400])
def test_the_image_of_a_verdict_is_shown_and_fits(open_page, width):
    browser = open_page('sweep', width, 'dark')
    natural, shown, background = script(
        browser,
        """[...document.images].map((i) => [i.naturalWidth, i.clientWidth,
           getComputedStyle(i).backgroundColor])[0]""",
    )
    assert natural == 3000
    assert 300 < shown < width
    assert background == 'rgb(255, 255, 255)'


def luminance(colour):
    red, green, blue = (int(n) for n in colour.strip('rgb()').split(','))
    return 0.3 * red + 0.6 * green + 0.1 * blue


def test_a_header_sorts_by_click_and_by_key(open_page):
    browser = open_page('sweep')
    button = header(browser, 'step').find_element(By.TAG_NAME, 'button')
    button.click()
    ascending = ['70', '90', '130', '420', *[''] * 8]
    assert column(browser, 'step') == ascending
    assert header(browser, 'step').get_attribute('aria-sort') == 'ascending'
    button.send_keys(Keys.ENTER)
    assert column(browser, 'step') == ['420', '130', '90', '70', *[''] * 8]
    header(browser, 'verdict').find_element(By.TAG_NAME, 'button').click()
    assert column(browser, 'verdict') == sorted(column(browser, 'verdict'))
    assert header(browser, 'step').get_attribute('aria-sort') is None


def test_typing_and_verdicts_filter(open_page):
    browser = open_page('sweep')
    browser.find_element(By.ID, 'filter').send_keys('width=1.0 seed=0')
    assert column(browser, 'seed') == ['0', '0']
    assert browser.find_element(By.ID, 'shown').text == '2 of 12'
    choose(browser, 'Verdict', 'dead')
    assert column(browser, 'member') == ['residual_scale=1.0,width=1.0,seed=0']


def test_a_chosen_member_shows_its_blocks(open_page):
    browser = open_page('sweep')
    row = browser.find_elements(By.CSS_SELECTOR, '#members tbody tr')[0]
    row.find_element(By.TAG_NAME, 'button').send_keys(Keys.ENTER)
    assert row.get_attribute('aria-current') == 'true'
    name = 'residual_scale=0.1,width=0.25,seed=0'
    assert name in browser.find_element(By.ID, 'member-about').text
    assert script(browser, "byId('blocks').data[0].z.length") == len(fake_runs.BLOCKS)
    assert script(browser, "byId('blocks').data[0].y[0]") == 'stem'
    assert script(
        browser, "document.querySelectorAll('#blocks .heatmaplayer image').length"
    )
    choose_blocks = "byId('block-controls').querySelector('select').options.length"
    assert script(browser, choose_blocks) == 8


def test_a_tile_shows_a_member_without_diagnostics_too(open_page):
    browser = open_page('sweep')
    tile = '.tile[data-member="5"]'
    script(browser, f"document.querySelector('{tile}').click()")
    assert browser.find_element(By.ID, 'member-about').text.startswith(
        'residual_scale=0.1'
    )
    assert browser.get_log('browser') == []


def test_the_map_is_that_of_the_tidy_values_and_filters(open_page, pages):
    browser = open_page('sweep')
    study = read_study([pages['sweep'].with_suffix('')])
    table = table_rows(study)

    def cells():
        return script(
            browser,
            """[...document.querySelectorAll('#map tbody tr')].map((r) =>
               [...r.querySelectorAll('td')].map((c) =>
               [...c.querySelectorAll('.tile')].map((t) => +t.dataset.member)))""",
        )

    assert cells() == group_by_map(table, 'width', 'residual_scale').cells[::-1]
    choose(browser, 'Rows', 'seed')
    assert cells() == group_by_map(table, 'width', 'seed').cells[::-1]
    choose(browser, 'Columns', 'none')
    assert cells() == group_by_map(table, None, 'seed').cells[::-1]
    choose(browser, 'Columns', 'residual scale')
    choose(browser, 'Only width', '1 (1,792 filters)')
    shown = {n for line in cells() for cell in line for n in cell}
    assert shown == {n for n, row in enumerate(table) if row['width'] == 1.0}


def test_hovering_a_curve_names_its_member(open_page):
    browser = open_page('sweep')
    place = script(
        browser,
        """(() => {
          const plot = document.querySelector('#panels .plot');
          plot.scrollIntoView({block: 'center'});
          const {xaxis, yaxis} = plot._fullLayout;
          const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
          const line = plot.data[0];
          return [box.left + xaxis.d2p(line.x[4]), box.top + yaxis.d2p(line.y[4])];
        })()""",
    )
    move = {'type': 'mouseMoved', 'x': place[0], 'y': place[1]}
    browser.execute_cdp_cmd('Input.dispatchMouseEvent', move | {'x': place[0] - 3})
    browser.execute_cdp_cmd('Input.dispatchMouseEvent', move)
    label = WebDriverWait(browser, 300).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, '.hoverlayer .hovertext')
    )
    assert 'residual_scale=' in label[0].text
    assert 'step' in label[0].text


def test_curves_are_chosen_coloured_and_toggled(open_page):
    browser = open_page('sweep')
    lines = (
        "document.querySelector('#panels .plot').data.filter((t) => t.mode === 'lines')"
    )
    assert script(browser, f'{lines}.length') == 12
    choose(browser, 'Colour by', 'verdict')
    labels = [b.text for b in browser.find_elements(By.CSS_SELECTOR, '#legend button')]
    assert labels == ['dead', 'diverged', 'dying', 'alive', 'unfinished']
    browser.find_element(By.CSS_SELECTOR, '#legend button').click()
    assert script(browser, f'{lines}.length') == 12 - 2
    choose(browser, 'Quantity', 'gradient norm, train')
    layout = "document.querySelector('#panels .plot')._fullLayout"
    assert script(browser, f'{layout}.yaxis.type') == 'log'
    choose(browser, 'Along', 'epoch')
    assert script(
        browser, f'Math.max(...{lines}.flatMap((t) => t.x))'
    ) == pytest.approx(600 / 45, rel=1e-3)


def test_a_run_has_its_panels_verdict_and_replay(open_page):
    browser = open_page('run')
    captions = [c.text for c in browser.find_elements(By.TAG_NAME, 'figcaption')]
    assert captions[:2] == ['top-1 error, %', 'cross-entropy, nats']
    assert len(captions) == 6
    plots = "[...document.querySelectorAll('#panels .plot')]"
    marks = f'{plots}.map((p) => p.layout.shapes[0].x0)'
    assert script(browser, marks) == [260] * 6
    assert script(browser, "byId('blocks').data[0].x") == list(range(201, 211))
    choose(browser, 'Quantity', 'scale x branch RMS / trunk RMS')
    assert script(browser, "byId('blocks').data[0].z[0]") == [None] * 10
    choose(browser, 'Steps', 'of the run')
    assert script(browser, "byId('blocks').data[0].x[0]") == fake_runs.DIAGNOSE


@pytest.mark.parametrize('kind', KINDS)
def test_every_axis_has_all_of_its_values(open_page, kind):
    browser = open_page(kind)
    outside = """[...document.querySelectorAll('#panels .plot')].flatMap((p) => {
      const {type, range: [low, high]} = p._fullLayout.yaxis;
      const values = p.data.flatMap((t) => t.y).filter((v) => v !== null);
      return (type === 'log' ? values.filter((v) => v > 0).map(Math.log10) : values)
        .filter((v) => v !== 0 && (v <= low || v >= high));
    })"""
    assert script(browser, outside) == []
    axis = "yAxis({axis: 'linear'}, [{y: [-18.69, null, 0.3561]}]).range"
    low, high = script(browser, axis)
    assert low < -19
    assert high > 1


def test_the_table_shows_what_matters_and_commands_wrap(open_page):
    browser = open_page('sweep')
    box = "byId('members').closest('.scroll').getBoundingClientRect()"
    right = script(browser, f'{box}.right')
    cells = """[...document.querySelectorAll('#members th')].map((h) =>
               [h.dataset.column, h.getBoundingClientRect().right])"""
    shown = [name for name, end in script(browser, cells) if end <= right]
    assert {'verdict', 'dead_channels', 'train_top_1_error', 'top_1_error'} <= {*shown}
    made = "byId('commands')"
    script(browser, f"({made}.textContent = 'x'.repeat(999))")
    assert script(browser, f'{made}.parentNode.scrollWidth - {made}.clientWidth') == 0


def test_forks_begin_at_marks(open_page):
    browser = open_page('forks')
    marks = script(browser, "document.querySelector('#panels .plot').data.at(-1)")
    assert sorted(zip(marks['x'], marks['marker']['symbol'], strict=True)) == [
        (100, 'circle-open'),
        (260, 'x-thin'),
        (300, 'circle-open'),
        (400, 'circle-open'),
        (480, 'x-thin'),
    ]
    first = 'study.members[0].curves'
    script(browser, f"({first}['evaluation.top_1_error'][2] = {{}}, redrawCurves())")
    marks = script(browser, "document.querySelector('#panels .plot').data.at(-1)")
    (lost,) = script(browser, f"{first}['train.top_1_error'][2].lost.slice(1)")
    assert marks['y'][marks['x'].index(260)] == lost
    assert '└─ from step 100' in browser.find_element(By.ID, 'lineage').text


def test_a_page_prints_on_paper_in_light_colours(open_page):
    browser = open_page('sweep', scheme='dark')
    width = "document.querySelector('#panels svg').getBoundingClientRect().width"
    before = script(browser, width)
    printed = browser.execute_cdp_cmd('Page.printToPDF', {'printBackground': True})
    assert base64.b64decode(printed['data']).startswith(b'%PDF')
    assert script(browser, width) == before > 1000
    script(browser, 'fitPaper(660)')
    assert script(browser, width) == 660
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': 'print'})
    background = 'getComputedStyle(document.body).backgroundColor'
    assert script(browser, background) == 'rgb(255, 255, 255)'
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': ''})
