"""The page in a real browser: sorting, filtering, tabs, rows, by mouse and by keyboard."""

import json
import shutil

import pytest

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.chrome.service import Service  # noqa: E402  # skipped without selenium
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with chromedriver here"),
]
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)
STRESS = "#board-2"
"""Its board comes after that of the task affect."""
LEAD = f"{STRESS} [data-lead]"
SENT = "Network.requestWillBeSent"


CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255);
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
const light = (c) => c.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  if (!element) return [1, 1, 1];
  const own = rgba(getComputedStyle(element).backgroundColor);
  return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
};
const found = new Set();
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  const style = getComputedStyle(element);
  if (!walk.currentNode.data.trim() || !element.getClientRects().length) continue;
  if (["SCRIPT", "STYLE", "TITLE", "OPTION"].includes(element.tagName)) continue;
  const below = behind(element);
  const paint = element.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(over(rgba(paint), below)), light(below)].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  const name = `${element.tagName}.${element.getAttribute("class")}`;
  if (contrast < 4.5) found.add(`${name} ${contrast.toFixed(2)}`);
}
return [...found];
"""
"""Texts whose letters differ too little in luminance from what is behind them."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page):
    """Opens the page at a tab; looks afterwards at what it asked for and complained of."""
    for log in ("browser", "performance"):
        browser.get_log(log)

    def at(tab=STRESS, width=1280, scheme="light"):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in media.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get("about:blank")
        browser.get(f"file://{page}{tab}")
        return browser

    yield at
    assert browser.get_log("browser") == []
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    sent = {e["params"]["request"]["url"].partition("#")[0] for e in events if e["method"] == SENT}
    sent = {url for url in sent if not url.startswith(("chrome:", "data:"))}  # its own first page
    assert f"file://{page}" in sent
    assert sent <= {f"file://{page}", "about:blank"}
    assert browser.execute_script("return window.hacked") is None


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser, selector):
    found = browser.find_elements(By.CSS_SELECTOR, selector)
    return [element.text for element in found if element.is_displayed()]


def rows(browser):
    """Number, place in the board and sorted value of the rows that are shown."""
    return browser.execute_script(
        "const place = [...document.querySelectorAll(arguments[0] + ' thead th')]"
        ".findIndex((head) => !['none', null].includes(head.getAttribute('aria-sort')));"
        "return [...document.querySelectorAll(arguments[0] + ' tbody tr')]"
        ".filter((row) => row.offsetParent)"
        ".map((row) => [Number(row.dataset.row), row.cells[place].dataset.v ?? null])",
        LEAD,
    )


def head(browser, title):
    (found,) = [
        button
        for button in browser.find_elements(By.CSS_SELECTOR, f"{LEAD} thead button")
        if button.text.strip("\u2195\u25b2\u25bc ") == title
    ]
    return found


def followers(browser, kind):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter((one) => !one.hidden)"
        ".map((one) => Number(one.dataset.row))",
        f"{STRESS} {kind}.follow > *",
    )


def test_sorts_by_mouse_and_by_keyboard_and_the_plots_follow(opened):
    browser = opened()
    start = rows(browser)
    assert [number for number, _ in start] == list(range(len(start)))
    complete = len(start) - 2  # one lacks scores, one does not apply
    button = head(browser, "parameters")
    for press, reverse in ((button.click, True), (lambda: button.send_keys(Keys.ENTER), False)):
        press()
        found = rows(browser)
        values = [float(value) for _, value in found[:complete]]
        assert values == sorted(values, reverse=reverse)
        assert [number for number, _ in found[complete:]] == [complete, complete + 1]
        way = "descending" if reverse else "ascending"
        cell = button.find_element(By.XPATH, "..")
        assert cell.get_attribute("aria-sort") == way
        order = [number for number, _ in found]
        for kind, least in (
            *(("[data-subjects]", complete + 1), (".cards", complete + 1)),
            *((".ranks ol", complete - 2), (".curves", 2)),
        ):
            shown = followers(browser, kind)
            assert shown == [number for number in order if number in shown]
            assert len(shown) >= least
    head(browser, "model").click()
    names = [value for _, value in rows(browser)[:complete]]
    assert names == sorted(names)
    assert len(browser.find_elements(By.CSS_SELECTOR, f"{LEAD} th[aria-sort$='ending']")) == 1


def test_values_that_are_missing_are_last_either_way(opened):
    browser = opened()
    button = head(browser, "ms, CPU")
    for _ in range(2):
        button.click()
        found = [value for _, value in rows(browser)[:-2]]
        known = [value for value in found if value is not None]
        assert 0 < len(known) < len(found)
        assert found == known + [None] * (len(found) - len(known))


def test_filters_by_words_and_by_rank(opened):
    browser = opened()
    everything = rows(browser)
    search = find(browser, f"{LEAD} input")
    search.send_keys("cnn SOFT")
    assert len(rows(browser)) == 1
    assert find(browser, f"{LEAD} output").text == f"1 of {len(everything)} rows"
    assert followers(browser, "[data-subjects]") == [rows(browser)[0][0]]
    search.clear()
    search.send_keys("no such model")
    assert rows(browser) == []
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys(Keys.DELETE)
    assert rows(browser) == everything
    find(browser, f"{LEAD} select option:nth-child(2)").click()
    ties = texts(browser, f"{LEAD} .tie")
    assert ties
    assert all(text.split()[0] == "1" for text in ties)
    assert len(rows(browser)) == len(ties)


def test_columns_come_on_demand(opened):
    browser = opened()
    before = texts(browser, f"{LEAD} thead th")
    button = find(browser, f"{LEAD} .columns")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert len(texts(browser, f"{LEAD} thead th")) > len(before)
    button.send_keys(Keys.SPACE)
    assert texts(browser, f"{LEAD} thead th") == before


def shown(browser):
    panels = browser.find_elements(By.CSS_SELECTOR, "[role=tabpanel]")
    return [panel.get_attribute("id") for panel in panels if panel.is_displayed()]


def test_tabs_by_mouse_keyboard_and_address(opened):
    browser = opened("")
    assert shown(browser) == ["overview"]
    find(browser, "#tab-distillation").click()
    assert shown(browser) == ["distillation"]
    assert find(browser, "#tab-distillation").get_attribute("aria-selected") == "true"
    assert browser.current_url.endswith("#distillation")
    for key, panel in (
        (Keys.ARROW_DOWN, "leak_audit"),
        (Keys.ARROW_UP, "distillation"),
        (Keys.HOME, "overview"),
        (Keys.ARROW_LEFT, "failures"),
        (Keys.ARROW_RIGHT, "overview"),
        (Keys.END, "failures"),
    ):
        browser.switch_to.active_element.send_keys(key)
        assert shown(browser) == [panel]
        assert browser.switch_to.active_element.get_attribute("id") == f"tab-{panel}"
    stops = browser.find_elements(By.CSS_SELECTOR, "[role=tab][tabindex='0']")
    assert [stop.get_attribute("id") for stop in stops] == ["tab-failures"]
    browser.back()
    assert shown(browser) == ["overview"]
    find(browser, "#overview tbody a").click()
    assert shown(browser) == ["board-1"]


def test_a_row_opens_with_its_protocol_and_closes(opened, evil):
    browser = opened()
    dialog = find(browser, "dialog")
    button = find(browser, f"{LEAD} tbody .open")
    button.send_keys(Keys.ENTER)
    assert dialog.get_property("open")
    assert dialog.find_element(By.TAG_NAME, "h2").text.startswith(button.text.split("\n")[0])
    for words in ("leave one subject out", "0123456789", "d" * 16, "torch 2.13.0", evil):
        assert words in dialog.text
    assert dialog.text.count("S0") >= 9
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog.get_property("open")
    assert browser.switch_to.active_element == button
    find(browser, f"{LEAD} tbody tr:nth-child(2) td:nth-child(4)").click()
    assert dialog.get_property("open")
    find(browser, "dialog .close").click()
    assert not dialog.get_property("open")


def test_names_the_subject_under_the_pointer(opened):
    browser = opened()
    strip = find(browser, f"{STRESS} [data-subjects] li .strip")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", strip)
    script = (
        "const box = arguments[0].getBoundingClientRect();"
        "const row = known.boards['wesad__stress__leave_one_subject_out'].rows[0];"
        "const at = {bubbles: true, clientX: box.left + box.width * row.scores[3],"
        " clientY: box.top + 9};"
        "arguments[0].dispatchEvent(new PointerEvent('pointermove', at));"
        "return document.getElementById('tip').textContent + ' ' + row.scores[3].toFixed(3)"
    )
    name, score, asked = browser.execute_script(script, strip).split()
    assert score == asked
    assert name == "S04"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(opened, scheme):
    browser = opened("", 390, scheme)
    for tab in range(len(browser.find_elements(By.CSS_SELECTOR, "[role=tab]"))):
        browser.execute_script("tabs[arguments[0]].click()", tab)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 390, shown(browser)
    browser.execute_script("open(arguments[0], 0)", "wesad__stress__leave_one_subject_out")
    box = find(browser, "dialog").rect
    assert box["width"] <= 390
    assert browser.execute_script("return dialog.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out(opened, scheme):
    """Contrast of at least 4.5 (WCAG 2.2, 1.4.3) of all that is written, on every tab."""
    browser = opened("", 1280, scheme)
    browser.execute_script("document.documentElement.classList.remove('tabbed')")
    faint = browser.execute_script(CONTRAST)
    assert faint == []


def test_all_of_it_is_there_without_scripts(opened, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        panels = len(opened("").find_elements(By.CSS_SELECTOR, "[role=tabpanel]"))
        assert len(shown(browser)) == panels
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_more_columns_of_classes_on_demand(opened):
    browser = opened()
    sheet = f"{STRESS} .sheet:has(.columns):not([data-lead])"
    heads = texts(browser, f"{sheet} thead th")
    assert any(head.startswith("stress precision") for head in heads)
    assert not any("pooled" in head for head in heads)
    find(browser, f"{sheet} .columns").click()
    more = texts(browser, f"{sheet} thead th")
    assert len(more) == 2 * (len(heads) - 1) + 1
    find(browser, f"{sheet} .columns").click()
    assert texts(browser, f"{sheet} thead th") == heads


def test_curves_follow_the_table(opened):
    browser = opened()
    find(browser, f"{LEAD} input").send_keys("lstm")
    names = texts(browser, f"{STRESS} .curves figcaption")
    assert any(name.startswith("lstm") for name in names)
    assert all("lstm" in name for name in names)
    find(browser, f"{LEAD} input").clear()
