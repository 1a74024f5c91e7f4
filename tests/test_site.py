"""The docs site: pages that the code writes are as committed, what they say is in the results files, and it builds."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from nextframe.models import MODELS, ORIGINALS

pytestmark = pytest.mark.any_processor

ROOT = Path(__file__).resolve().parents[1]
DOCS, SCRIPTS = ROOT / "docs", ROOT / "scripts" / "site"
HAND = "run: make docs"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """Import a script of the site by its name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def imported(name: str) -> ModuleType:
        return importlib.import_module(name)

    return imported


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_pages_of_the_command_line_are_as_the_code_writes_them(script) -> None:
    pages = script("command_line")
    assert text_of(DOCS / "reference" / "cli.md") == pages.cli_page(), HAND
    assert text_of(DOCS / "reference" / "settings.md") == pages.settings_page(), HAND


def test_an_option_has_its_default_in_a_column_of_its_own(script) -> None:
    option = script("command_line").option
    assert option(("-n, --frames N", "How many.  [default: 10; x>=1]")) == ["`-n, --frames N`", "How many.", "10; x>=1"]
    assert option(("--fps F", "Frames.  [default: (the video's own)]"))[2] == "the video's own"
    assert option(("PATH", "A <file> * here.  [required]")) == ["`PATH`", "A \\<file> \\* here.", "required"]
    assert option(("--quick", "Be quick."))[2] == ""


def test_every_model_has_a_card_that_says_when_to_choose_it(script) -> None:
    pages = script("model_pages")
    known = pages.findings()
    for kind in pages.PAGES:
        assert text_of(DOCS / "models" / f"{kind}.md") == pages.page(kind, known), HAND
    assert text_of(DOCS / "models" / "weights.md") == pages.weights_page(), HAND
    whole = "".join(text_of(DOCS / "models" / f"{kind}.md") for kind in pages.PAGES)
    assert sorted(re.findall(r"^## `(.+)`$", whole, re.MULTILINE)) == sorted(MODELS)
    assert all(MODELS.get(name).when.endswith(".") for name in MODELS if name not in ORIGINALS)


def test_figures_are_those_of_the_results_files(script) -> None:
    found = {(each.model, each.task): each for each in script("evidence").findings()}
    real = found["motion", "real-next, psnr of five frames"]
    row = next(r for r in json.loads(text_of(ROOT / "results/real-next.json"))["rows"] if r["model"] == "motion")
    assert real.figure.startswith(f"{row['figures']['psnr']['mean']:.2f} ± ")
    assert real.gain.startswith(f"+{row['compared']['copy-last']['gain']:.2f} dB (")
    flow = json.loads(text_of(ROOT / "results/gif-next/flow.json"))["figures"][0]["mean"]
    last = json.loads(text_of(ROOT / "results/gif-next/copy-last.json"))["figures"][0]["mean"]
    gif = found["flow", "gif-next, perceptual-distance"]
    assert (gif.figure.split(" ")[0], gif.last_frame) == (f"{flow:.2f}", f"{last:.2f}")
    assert gif.gain.startswith(f"{100 * (1 - flow / last):+.1f} % (")
    assert gif.file == "results/gif-next/flow.json"


def test_trained_models_and_evaluated_runs_count_as_measured(script) -> None:
    evidence = script("evidence")
    found = {(each.model, each.task): each for each in evidence.findings()}
    ddpae = found["ddpae", "moving-digits, test, mse"]
    rows = json.loads(text_of(ROOT / "weights/ddpae/results.json"))["rows"]
    own, last = (next(r["mean"] for r in rows if r["model"] == name) for name in ("ddpae", "copy-last"))
    assert ddpae.figure.startswith(f"{own:.4f} ± ")
    assert ddpae.gain.startswith(f"{100 * (1 - own / last):+.1f} % (")
    walks = found["dual-motion-gan", "walks, test, psnr"]
    assert re.fullmatch(r"\+\d\.\d dB \(\+\d\.\d to \+\d\.\d\)", walks.gain)  # higher is better: in its unit


def test_a_gain_by_hand(script) -> None:
    gain = script("evidence").gain_of
    assert gain({"mean": 0.03, "better": "lower"}, {"mean": 0.04}, (0.005, 0.015)) == "+25.0 % (+12.5 to +37.5)"
    assert gain({"mean": 30.0, "better": "higher", "unit": "dB"}, {"mean": 31.0}, None) == "-1.0 dB"


def test_the_plot_has_the_points_of_the_results_files(script) -> None:
    panels = script("quality_plot").panels()
    motion = next(point for point in panels[0].points if point.name == "motion")
    files = [json.loads(text_of(ROOT / "results" / name)) for name in ("real-next.json", "model-costs.json")]
    gain = next(row for row in files[0]["rows"] if row["model"] == "motion")["compared"]["copy-last"]
    assert (motion.value, motion.low, motion.high) == (gain["gain"], *gain["ci95"])
    assert motion.seconds == next(row for row in files[1]["rows"] if row["model"] == "motion")["seconds"]
    drawn = text_of(DOCS / "media" / "which-model.svg")
    assert [panel.title for panel in panels if f">{panel.title}<" in drawn] == [panel.title for panel in panels], HAND
    assert len(re.findall(r'id="axes_\d+"', drawn)) == len(panels) == 2, HAND
    assert all(f">{point.name}<" in drawn for panel in panels for point in panel.points), HAND


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        ({"mean": 0.02, "ci95": [0.01, 0.03], "n": 9}, "better by 0.02 (0.01 to 0.03)"),
        ({"mean": -0.02, "ci95": [-0.03, -0.01], "n": 9}, "worse by 0.02 (0.01 to 0.03)"),
        ({"mean": 0.02, "ci95": [-0.01, 0.05], "n": 9}, "the difference may be chance"),
        ({"mean": 0.02, "ci95": [0.01, 0.03], "n": 4}, "4 sources are too few to tell"),
        ({"mean": 0.02, "ci95": None, "n": 1}, "1 sources are too few to tell"),
    ],
)
def test_a_difference_in_words(script, gap: dict[str, object], said: str) -> None:
    assert script("model_pages").verdict(gap) == said


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.34, "12 s"), (0.262, "0.26 s"), (0.0058, "5.8 ms"), (0.00005, "under 0.1 ms")]
)
def test_times_in_two_digits(script, seconds: float, words: str) -> None:
    assert script("evidence").time_words(seconds) == words


# --- the site itself, where mkdocs is


@pytest.fixture
def hooks(script) -> ModuleType:
    pytest.importorskip("mkdocs", reason="mkdocs is of requirements-extras.lock: make docs, make test-all")
    return script("hooks")


def test_links_out_of_docs_lead_to_copies_in_the_site(hooks) -> None:
    there = {"contributing.md", "benchmarks.md", "files/results/real-next.json"}
    files = SimpleNamespace(get_file_from_path=lambda path: path if path in there else None)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/compare.md"))
    text = "[a](../../CONTRIBUTING.md#style) [b](../benchmarks.md) [c](../../results/real-next.json) `[d](../../x.md)`"
    turned = hooks.on_page_markdown(text, page, None, files)
    assert turned == (
        "[a](../contributing.md#style) [b](../benchmarks.md) [c](../files/results/real-next.json) `[d](../../x.md)`"
    )
    page.file.src_uri = "contributing.md"
    assert hooks.on_page_markdown("[a](docs/benchmarks.md)", page, None, files) == "[a](benchmarks.md)"


def test_a_heading_is_called_as_on_github(hooks) -> None:
    assert hooks.slug("Real videos of any size: real-next", "-") == "real-videos-of-any-size-real-next"
    assert hooks.slug("The Hub & ONNX", "-") == "the-hub--onnx"


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(hooks, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"}
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(?:https?:)?//", text_of(page)) == [], page
    assert "context frames" in text_of(tmp_path / "site" / "search" / "search_index.json")
