"""A headless Chromium that reaches no network, for tests of pages."""

import shutil

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
DRIVER = shutil.which('chromedriver')
FLAGS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--hide-scrollbars',
    '--proxy-server=127.0.0.1:9',
    '--host-resolver-rules=MAP * ~NOTFOUND',
)


def start(profile):
    """Starts the browser with an empty folder as its profile."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    for flag in (*FLAGS, f'--user-data-dir={profile}'):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def show(browser, path, *, width, scheme):
    """Opens a file at a width in pixels, in `light` or `dark`."""
    size = {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': False}
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
    dress(browser, scheme)
    browser.get(path.as_uri())


def dress(browser, scheme):
    """Makes the system `light` or `dark`, and calm."""
    features = [
        {'name': 'prefers-color-scheme', 'value': scheme},
        {'name': 'prefers-reduced-motion', 'value': 'reduce'},
    ]
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': features})


def script(browser, text, *arguments):
    return browser.execute_script(f'return {text}', *arguments)


def column(browser, name):
    """Returns the shown texts of a column of the members, from the top."""
    return script(
        browser,
        """[...document.querySelectorAll('#members tbody tr')].filter(r => !r.hidden)
           .map(r => r.cells[document.querySelector(
             `#members th[data-column="${arguments[0]}"]`).cellIndex].textContent)""",
        name,
    )


def choose(browser, label, option):
    """Chooses an option of the first select whose label begins with `label`."""
    script(
        browser,
        """(() => {
          const labels = [...document.querySelectorAll('.controls label')];
          const label = labels.find((l) => l.textContent.startsWith(arguments[0]));
          const select = label.querySelector('select');
          const chosen = [...select.options].find((o) => o.text === arguments[1]);
          select.value = chosen.value;
          select.dispatchEvent(new Event('change'));
        }).apply(null, arguments)""",
        label,
        option,
    )
