# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
"""``resrl compare`` as a user runs it; its page in a real browser."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from matplotlib import colors, image
from typer.testing import CliRunner

from tests.report.report_runs import write_evaluation, write_run, write_study
from verl_resrl.report.command import HELP, compare
from verl_resrl.report.styles import WEIGHT_COLOURS, method_styles

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


def run_compare(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(compare)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of comparing a whole study."""
    root = tmp_path_factory.mktemp("study")
    folders = write_study(root / "runs")
    result = run_compare(*folders, "--out", root / "out")
    assert result.exit_code == 0, result.output
    return root / "out"


def test_help_teaches() -> None:
    for words in ("hydra.run.dir=RUN_DIR/hydra", "evaluations/step_N/", "resrl compare outputs/study/runs/*"):
        assert words in HELP


def test_numbers_of_a_study(study: Path) -> None:
    numbers = json.loads((study / "comparison.json").read_text())
    assert len(numbers["runs"]) == 6
    assert numbers["runs"][0]["folder"] == "grpo-0"
    assert numbers["notes"] == []
    assert len(numbers["frontier"]) == 6 * 5 * 3  # runs, checkpoints, sources
    matched = {(row["source"], row["method"], row["k"]): row for row in numbers["matched_differences"]}
    assert len(matched) == 3 * 2 * 4  # sources, methods, k above 1
    assert matched["overall", "resrl", 16]["low"] > 0  # as the study was made
    paired = {(row["source"], row["method"], row["measure"]): row for row in numbers["paired_differences"]}
    assert paired["overall", "resrl", "Pass@16"]["p_holm"] < 0.01
    assert len(numbers["lld_rank_correlations"]) == 2
    assert str(study.parent) not in (study / "comparison.json").read_text()  # folders by name


def test_images_are_drawn(study: Path) -> None:
    for name in ("frontier", "pass_at_k", "learning_curves"):
        pixels = image.imread(study / f"{name}.png")[..., :3]
        for style in method_styles(["grpo", "resrl", "w_reinforce"], "grpo").values():
            of_colour = abs(pixels - colors.to_rgb(style.colour)).max(axis=-1) < 0.01
            assert of_colour.sum() > 100, (name, style)


def test_no_verl() -> None:
    code = "import sys, verl_resrl.report.write; sys.exit(any(name.split('.')[0] == 'verl' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_missing_stands_on_the_page(tmp_path: Path) -> None:
    grpo = write_run(tmp_path / "grpo", "grpo", 0, {1: {"critic/score/mean": 0.5}})
    nsr = write_run(tmp_path / "nsr", "nsr", 0)
    (write_evaluation(nsr, 20, [1, 2], 4, [1, 2]) / "samples.jsonl").unlink()
    result = run_compare(grpo, nsr, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "report.html").read_text()
    body = page[: page.index("<script>")]
    for words in (
        "grpo seed 0: no evaluations",
        "nsr seed 0: no training metrics",
        "nsr seed 0: the start",
        "nsr seed 0: one evaluated checkpoint",
        "nsr seed 0: step 20 has no samples.jsonl",
        "No run shares a seed and a range of Avg with grpo",
        "No paired differences",
        "No run logged actor/entropy",
        "No evaluation has token weights",
    ):
        assert words in body, words


def test_different_sampling_is_said_at_the_top(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / method, method, 0) for method in ("grpo", "nsr")]
    for folder, temperature in zip(folders, (1.0, 0.6), strict=True):
        evaluation = write_evaluation(folder, 20, [1, 2], 4, [1, 2])
        settings = {"temperature": temperature, "chat_template_kwargs": {"enable_thinking": temperature < 1}}
        settings |= {"fingerprints": {"reward_file": f"file of {folder.name}"}}
        settings |= {"dtype": "bfloat16"} if temperature < 1 else {}  # the other is older than this setting
        (evaluation / "settings.json").write_text(json.dumps(settings))
    result = run_compare(*folders, "--out", tmp_path / "out")
    assert "Evaluations differ in the precision in which they were generated: bfloat16, float32." in result.output
    assert "note: Evaluations differ in the temperature: 0.6, 1.0." in result.output
    assert "Evaluations differ in arguments of the chat template: {'enable_thinking': False}, {" in result.output
    assert "Evaluations differ in the reward file (fingerprints): file of grpo, file of nsr." in result.output


def test_benchmarks_are_compared_by_name(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / method, method, 0) for method in ("grpo", "nsr")]
    for folder, correct in zip(folders, ([1, 2], [2, 2]), strict=True):
        write_evaluation(folder, 20, correct, 4, [1, 2])
        (folder / "benchmarks").mkdir()
        (folder / "evaluations").rename(folder / "benchmarks" / "aime24")
    for more, count in (([], 0), (["--benchmark", "aime24"], 2)):
        result = run_compare(*folders, "--out", tmp_path / "out", *more)
        assert result.exit_code == 0, result.output
        assert ("resrl compare --benchmark aime24" in result.output) == (count == 0)
        numbers = json.loads((tmp_path / "out" / "comparison.json").read_text())
        assert len(numbers["results"]) == count


def test_names_and_bytes_of_any_kind_are_no_traceback(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", '"<b>x[/red]</b>"', 0)
    evaluation = write_evaluation(run, 20, [1, 2], 4, [1, 2])
    samples = evaluation / "samples.jsonl"
    text = samples.read_bytes()
    samples.write_bytes(text.replace(b'"prompt": "', b'"prompt": "\xff'))
    assert samples.read_bytes() != text
    result = run_compare(run, "--out", tmp_path / "out")
    assert (result.exit_code, "Traceback" in result.output) == (0, False), result.output
    (tmp_path / "file").touch()
    result = run_compare(run, "--out", tmp_path / "file" / "out")
    assert (result.exit_code, result.output.startswith("error: --out: cannot write to")) == (1, True), result.output


def test_benchmark_that_no_run_has_stops(tmp_path: Path) -> None:
    run = write_run(tmp_path / "grpo", "grpo", 0)
    first = run_compare(run, "--out", tmp_path / "out", "--benchmark", "aime25")
    assert first.exit_code == 1
    assert "no run was evaluated on it; resrl eval --run RUN_DIR --benchmark aime25 comes before" in first.output
    write_evaluation(run, 20, [1, 2], 4, [1, 2])
    (run / "benchmarks").mkdir()
    (run / "evaluations").rename(run / "benchmarks" / "aime24")
    second = run_compare(run, "--out", tmp_path / "out", "--benchmark", "aime25")
    assert second.exit_code == 1
    assert (
        "error: --benchmark aime25: no run was evaluated on it; there are evaluations on aime24; else" in second.output
    )
    assert not (tmp_path / "out").exists()


def test_only_logs_can_be_compared_too(tmp_path: Path) -> None:
    run = write_run(tmp_path / "resrl", "resrl", 0, {1: {"critic/score/mean": 0.5}})
    result = run_compare(run, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "There is no run of the baseline grpo" in (tmp_path / "out" / "report.html").read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.json",
        "learning_curves.png",
        "report.html",
    ]


def test_errors_are_one_line(tmp_path: Path) -> None:
    run = write_run(tmp_path / "resrl", "resrl", 0)
    out = tmp_path / "out"
    for arguments, words in (
        ((run, "--baseline", "dapo", "--out", out), "there are resrl"),
        ((tmp_path, "--out", out), "is not a run folder"),
        ((run, "--out", run / "hydra/.hydra/config.yaml"), "config.yaml is a file"),
    ):
        result = run_compare(*arguments)
        assert result.exit_code == 1
        assert re.fullmatch(rf"error: .*{words}.*\n", result.output), result.output
    assert not out.exists()


def test_black_text_is_legible_on_every_weight() -> None:
    def luminance(colour: str) -> float:  # WCAG 2.2
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colors.to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in WEIGHT_COLOURS:
        assert (luminance(colour) + 0.05) / (luminance("#111111") + 0.05) > 7  # AAA


# ---- in a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Any, study: Path) -> Any:
    """The page of the study, freshly loaded, and logs of it alone."""
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get((study / "report.html").as_uri())
    return chromium


def requested(driver: Any) -> list[str]:
    """Addresses that the page asked for so far."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


def shown(driver: Any, table: str) -> list[str]:
    """Text of the visible rows of a table."""
    rows = driver.find_elements("css selector", f"#{table} tbody tr")
    return [row.text for row in rows if row.is_displayed()]


def select(driver: Any, css: str, value: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(driver.find_element("css selector", css)).select_by_value(value)


def test_page_in_a_browser(browser: Any) -> None:
    # every chart has marks
    plots = browser.find_elements("css selector", ".plot")
    assert len(plots) == 3 + 3 + 9
    marks = "return arguments[0].querySelectorAll('.js-line, .point, .hm image').length"
    for plot in plots:
        assert browser.execute_script(marks, plot) > 0, plot.get_attribute("data-chart")

    # k switches figures and tables together
    frontier = "document.querySelector('[data-chart=frontier]')"
    lines = f"return [...{frontier}.querySelectorAll('.js-line')].map((line) => line.getAttribute('d'))"
    # at first a k well below the 16 samples, where Pass@k is not 0 or 1 for each problem
    assert browser.execute_script(f"return {frontier}.layout.yaxis.title.text") == "Pass@4"
    before = browser.execute_script(lines)
    assert [row.split()[1] for row in shown(browser, "paired-table")] == ["Avg@n"] * 2 + ["Pass@4"] * 2 + ["mean"] * 2
    matched, short = shown(browser, "matched-table"), shown(browser, "short-table")
    select(browser, "figure select[data-control=k]", "16")
    assert browser.execute_script(f"return {frontier}.layout.yaxis.title.text") == "Pass@16"
    assert browser.execute_script(lines) != before
    chosen = [box.get_attribute("value") for box in browser.find_elements("css selector", "select[data-control=k]")]
    assert set(chosen) == {"16"}
    assert [row.split()[1] for row in shown(browser, "paired-table")] == ["Avg@n"] * 2 + ["Pass@16"] * 2 + ["mean"] * 2
    assert len(shown(browser, "matched-table")) == len(matched) == 4
    assert shown(browser, "matched-table") != matched
    assert len(shown(browser, "short-table")) == len(short) == 2
    assert shown(browser, "short-table") != short

    # so does the data source
    results = shown(browser, "results-table")
    select(browser, "#results select[data-control=source]", "arithmetic")
    assert len(shown(browser, "results-table")) == len(results) == 6
    assert shown(browser, "results-table") != results

    # smoothing
    reward = "return document.querySelector('[data-chart=\"critic/score/mean\"] .js-line').getAttribute('d')"
    smooth = browser.execute_script(reward)
    select(browser, "select[data-control=window]", "1")
    assert browser.execute_script(reward) != smooth

    assert browser.get_log("browser") == []
    assert [url for url in requested(browser) if not url.startswith(("file:", "data:", "blob:"))] == []


def test_viewer_of_token_weights(browser: Any, study: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    lines = (study.parent / "runs/resrl-0/evaluations/step_60/tokens.jsonl").read_text().splitlines()
    problems = [json.loads(line) for line in lines]

    def text(name: str) -> str:
        return browser.find_element("id", f"view-{name}").get_property("textContent")

    for index, problem in enumerate(problems):  # one has line breaks, one has HTML in it
        select(browser, "#view-problem", str(index))
        assert text("prompt") == problem["prompt"]
        assert text("negative") == "".join(problem["negative"]["tokens"])
        assert text("positive") == "".join(problem["positive"]["tokens"])
        assert text("weighed").startswith("As this training weighs (rank 8), in a group of all 16 responses")

    def check_colours(weights: list[float]) -> list[Any]:
        tokens = browser.find_elements("css selector", "#view-negative span")
        for token, weight in zip(tokens, weights, strict=True):
            expected = colors.to_rgb(WEIGHT_COLOURS[min(9, int(weight * 10))])
            red, green, blue = (round(255 * part) for part in expected)
            assert f"({red}, {green}, {blue}" in token.value_of_css_property("background-color")
        return tokens

    weights = problems[-1]["negative"]["weights"]
    select(browser, "#view-weights", "by interference")
    check_colours(weights[::-1])
    select(browser, "#view-problem", "1")
    check_colours(problems[1]["negative"]["weights"][::-1])  # the choice stays
    select(browser, "#view-problem", "0")
    check_colours(problems[0]["negative"]["weights"])  # unless there is none
    select(browser, "#view-problem", str(len(problems) - 1))
    select(browser, "#view-weights", "as trained")
    tokens = check_colours(weights)
    assert tokens[0].get_attribute("title").startswith(f"weight {weights[0]:.2f}, residual not defined, interference ")
    ActionChains(browser).move_to_element(tokens[3]).perform()
    assert f"Token 4 of {len(tokens)}" in text("readout")
    assert f"weight {weights[3]:.2f}, residual {weights[3] / 2:#.3g}, interference" in text("readout")
    browser.find_element("id", "view-negative").send_keys(Keys.ARROW_RIGHT)
    assert f"Token 5 of {len(tokens)}" in text("readout")

    browser.find_element("id", "view-numbers").click()
    content = "return getComputedStyle(arguments[0], '::after').content"
    assert browser.execute_script(content, tokens[3]) == f'"{weights[3]:.1f}"'
    select(browser, "#view-run", "1")
    assert text("readout").startswith("Point at")
    assert browser.get_log("browser") == []


def test_page_fits_a_phone(browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        check_phone(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def check_phone(browser: Any) -> None:
    browser.refresh()
    wider = """return [...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll, svg, .text")
        && e.getBoundingClientRect().right > 391).map((e) => e.outerHTML.slice(0, 200))"""
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    assert browser.execute_script(wider) == []
    width = "return arguments[0].querySelector('svg.main-svg').getBoundingClientRect().width"
    for plot in browser.find_elements("css selector", ".plot"):
        assert 300 < browser.execute_script(width, plot) <= 390
    assert browser.get_log("browser") == []
