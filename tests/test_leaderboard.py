"""The leaderboard: ranks, marks and definitions in Markdown and HTML; the page itself in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from nextframe.benchmark import TASKS, BenchmarkRow, as_markdown, find_rows, write_leaderboard
from nextframe.benchmark.cells import without_folders
from nextframe.benchmark.leaderboard import boards, short_count
from nextframe.benchmark.row import DataFacts, Figure, TaskFacts, TrainingFacts
from nextframe.benchmark.strip import image_strip
from nextframe.cli import main
from nextframe.core.errors import BadInputError, UserError
from nextframe.evaluation import Example
from nextframe.media.writer import write_video

TASK = TASKS.get("gif-next")
TRAINING = TrainingFacts(
    budget={"minutes": 30}, steps=1200, seconds=1800.5, batch=16, clips_seen=19200, clips=500, recipe={}
)


def row(entry: str, distance: float | None, ssim: float, parameters: int = 0, **changed: object) -> BenchmarkRow:
    def figure(metric: str, mean: float | None, better: str, half: float) -> Figure:
        ci95 = None if mean is None else (mean - half, mean + half)
        return Figure(
            metric=metric, definition=f"what {metric} is", unit="1", better=better, mean=mean, ci95=ci95,
            per_step=[mean], n=18,
        )  # fmt: skip

    values = {
        "entry": entry,
        "model": entry,
        "kind": "trained" if parameters else "baseline",
        "config": {"context": 5},
        "parameters": parameters,
        "macs": parameters * 9216,
        "task": TaskFacts(name=TASK.name, hash=TASK.hash, definition=TASK.definition),
        "data": DataFacts(name="gifs", split="test", clips=432, sources=18, fingerprint="0ee4"),
        "training": TRAINING if parameters else None,
        "figures": [figure("perceptual-distance", distance, "lower", 1.5), figure("ssim", ssim, "higher", 0.01)],
        "run": {"command": "nextframe benchmark <b>gif-next</b>", "commit": "abc", "seed": 0, "machine": "m",
                "date": "2026-01-01", "seconds": 3.0},
        "model_folder": entry,
        "strip": f"{entry}.png",
    }  # fmt: skip
    return BenchmarkRow(**{**values, **changed})


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    folder = tmp_path / "rows"
    written = [
        row("copy-last", 20.0, 0.90),
        row("mixture", 17.0, 0.89, 250_000),
        row("conv2d", 35.0, 0.70, 408),
        row("diverged", None, 0.10, 1_968),
    ]
    for one in written:
        one.write(folder / f"{one.entry}.json")
        frames = torch.rand(5, 3, 24, 24, generator=torch.Generator().manual_seed(0))
        example = Example("a", frames, frames[:1], {one.entry: frames[1:2]})
        write_video(folder / one.strip, image_strip([example] * 3, one.entry).unsqueeze(0), fps=1.0)
    return folder


def test_ranks_and_gains(rows: Path) -> None:
    (board,) = boards(find_rows([rows]))
    assert [line.row.entry for line in board.lines] == ["mixture", "copy-last", "conv2d", "diverged"]
    assert [line.gain for line in board.lines] == [pytest.approx(15), None, pytest.approx(-75), None]
    assert [bool(line.reference) for line in board.lines] == [False, True, False, False]
    beaten = "1 of 3 trained rows beat the last frame on perceptual-distance (mixture)"
    assert board.finding == f"{beaten}; 0 by more than the 95 % interval of the gain."


def test_the_interval_of_a_gain_is_of_the_differences_source_by_source(tmp_path: Path) -> None:
    """Sources differ by far more than the models do: 10 and 90 against 8 and 87, so -2 and -3 of a mean of 50."""
    last, mine = row("copy-last", 50.0, 0.9), row("mixture", 47.5, 0.9, 250)
    last.figures[0].__dict__["per_source"] = {"calm": 10.0, "wild": 90.0}
    mine.figures[0].__dict__["per_source"] = {"calm": 8.0, "wild": 87.0}
    for one in (last, mine):
        one.write(tmp_path / f"{one.entry}.json")
    (board,) = boards(find_rows([tmp_path]))
    half = 12.706204736 * 0.5 / 50 * 100  # Student's t for one degree of freedom, times the standard error of 2 and 3
    assert board.lines[0].gain == pytest.approx(5)
    assert board.lines[0].paired == pytest.approx((5 - half, 5 + half))
    assert f"+5.0 % ({5 - half:+.1f} to {5 + half:+.1f})" in as_markdown(find_rows([tmp_path]))
    assert board.finding.endswith("(mixture); 0 by more than the 95 % interval of the gain.")
    mine.figures[0].__dict__["per_source"] = {"calm": 8.0, "wild": 87.9}  # -2 and -2.1: surely better
    mine.write(tmp_path / "mixture.json")
    (board,) = boards(find_rows([tmp_path]))
    assert board.finding.endswith("(mixture); 1 by more than the 95 % interval of the gain.")


def of_sources(entry: str, **values: float) -> BenchmarkRow:
    """Return a row whose figures have these means of their sources."""
    one = row(entry, float(np.mean(list(values.values()))), 0.5)
    return one.model_copy(
        update={"figures": [figure.model_copy(update={"per_source": values}) for figure in one.figures]}
    )


def test_sources_are_left_out_of_every_mean(tmp_path: Path) -> None:
    """Of 10, 20 and 60 without the last: 15, and a 95 % interval of Student's t of 12.7062 times 5."""
    of_sources("copy-last", a=10.0, b=20.0, intel=60.0).write(tmp_path / "copy-last.json")
    better = of_sources("mixture", a=9.0, b=18.0, intel=90.0).model_copy(update={"seen": ["intel"]})
    better.write(tmp_path / "mixture.json")
    (whole,), (board,) = boards(find_rows([tmp_path])), boards(find_rows([tmp_path]), ["int"])
    assert [line.row.entry for line in whole.lines] == ["copy-last", "mixture"]
    assert [line.row.entry for line in board.lines] == ["mixture", "copy-last"], "the order is of what is counted"
    figure = board.lines[1].row.figures[0]
    assert (figure.mean, figure.n) == (15.0, 2)
    assert figure.ci95 == pytest.approx((15 - 12.7062 * 5, 15 + 12.7062 * 5), abs=1e-3)
    assert board.lines[0].gain == pytest.approx(10.0)
    note = "mixture was trained on material of 1 of these sources, so its figures say less about them: intel."
    assert note in as_markdown(find_rows([tmp_path]))
    page = as_markdown(find_rows([tmp_path]), ["int"])
    assert note not in page, "nothing of it is counted"
    assert "all figures are over 2 sources, without intel." in page
    with pytest.raises(UserError, match="--exclude moon: no row lists a source whose name contains it"):
        boards(find_rows([tmp_path]), ["int", "moon"])
    with pytest.raises(UserError, match="--exclude a,b,i: nothing is left of copy-last on gif-next"):
        boards(find_rows([tmp_path]), ["a", "b", "i"])


def test_sources_of_a_note_are_named_without_folders(tmp_path: Path) -> None:
    names = ["gifs/intel/class.gif", "gifs/a/walk.gif", "gifs/b/walk.gif", "more/b/run.gif", "run.gif"]
    one = of_sources("motion", **dict.fromkeys([*names, "films/class.mp4", "more/class.gif"], 1.0))
    one.model_copy(update={"seen": names}).write(tmp_path / "motion.json")
    (board,) = boards(find_rows([tmp_path]))
    assert board.notes == [
        "motion was trained on material of 5 of these sources, so its figures say less about them: "
        "intel/class.gif, a/walk.gif, b/walk.gif, b/run.gif, run.gif"
    ]
    one.model_copy(update={"seen": ["gifs/a/walk.gif", "films/class.mp4"]}).write(tmp_path / "motion.json")
    (board,) = boards(find_rows([tmp_path]))
    assert board.notes[0].endswith("less about them: a/walk.gif, class.mp4")


def test_the_committed_rows_over_the_sources_that_no_shipped_model_was_trained_on() -> None:
    results = Path(__file__).parent.parent / "results"
    (board,) = boards(find_rows([results / "gif-next", results / "gif-next-30-minutes"]), ["intel-iot-devkit"])
    assert {line.row.figures[0].n for line in board.lines} == {16}
    means = {(line.row.entry, line.trained[:17]): line.row.figures[0].mean for line in board.lines}
    trained = dict(means.keys())  # by the name of a row
    assert means["copy-last", "no training"] == pytest.approx(21.37, abs=0.005)
    assert means["flow", "no training"] == pytest.approx(22.13, abs=0.005)
    assert means["mixture", "budget 30 minutes"] == pytest.approx(14.07, abs=0.005)
    page = (results.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name in ("copy-last", "flow", "linear", "motion"):
        row = f"| {'the last frame' if name == 'copy-last' else f'`{name}`'}"
        assert re.search(rf"^{re.escape(row)}.* \| {means[name, trained[name]]:.2f} \|$", page, re.MULTILINE), name


def test_rows_of_other_clips_stand_apart(rows: Path) -> None:
    other = DataFacts(name="gifs", split="test", clips=9, sources=3, fingerprint="other")
    row("linear", 1.0, 0.99, data=other).write(rows / "linear.json")
    assert [len(board.lines) for board in boards(find_rows([rows]))] == [4, 1]


def test_markdown_says_all(rows: Path) -> None:
    page = as_markdown(find_rows([rows]))
    lines = page.splitlines()
    table = [line for line in lines if line.startswith("| 1 |")]
    assert table == [
        "| 1 | mixture | 17.00 ± 1.500 | +15.0 % | 250 k | 2.3 G | "
        "budget 30 minutes: 1,200 steps, 19,200 clips, 30.0 min |",
        "| 1 | mixture | 17.00 ± 1.500 | 0.890 ± 0.0100 |",
    ]
    assert any(line.startswith("| 2 | **copy-last** (the last frame) | **20.00 ± 1.500**") for line in lines)
    assert any("not finite" in line for line in lines)
    assert "432 held-out clips from 18 sources" in page
    assert "what ssim is (1); higher is better" in page
    widths = {line.count("|") for line in lines if re.match(r"\| \d", line)}
    assert len(widths) == 2, "a table of ranks and one of every metric"


def test_commands_stand_behind_a_fold_once_without_the_folders_of_a_machine(tmp_path: Path) -> None:
    for entry, data in (("copy-last", "../x/gifs_a,/home/me/gifs_b"), ("linear", "../x/gifs_a,/home/me/gifs_b"),
                        ("flow", "~/gifs")):  # fmt: skip
        made = row(entry, 20.0, 0.5)
        command = f"nextframe benchmark gif-next --data {data} --models m/a -o results/gif-next"
        made.model_copy(update={"run": {**made.run, "command": command}}).write(tmp_path / f"{entry}.json")
    shown, _, folded = as_markdown(find_rows([tmp_path])).partition("<summary>How each row was made</summary>")
    assert "nextframe benchmark" not in shown
    assert [line for line in folded.splitlines() if line.startswith("- ")] == [
        "- copy-last, linear: `nextframe benchmark gif-next --data gifs_a,gifs_b --models m/a -o results/gif-next`",
        "- flow: `nextframe benchmark gif-next --data gifs --models m/a -o results/gif-next`",
    ]
    assert folded.rstrip().endswith("</details>")
    write_leaderboard(find_rows([tmp_path]), tmp_path / "page.html")
    assert "/home/me" not in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "short"),
    [
        ("a --data ../shared/data/gifs", "a --data gifs"),
        ("a /data/x.mp4 -o out/y", "a x.mp4 -o out/y"),
        ("a --set 'real.exclude=[a/b, ../c/d]' ./e", "a --set 'real.exclude=[a/b, d]' e"),
        ("a --data=/data/gifs/", "a --data=gifs/"),
        ("a 1/2 .. . -n 3", "a 1/2 .. . -n 3"),
    ],
)
def test_folders_of_a_machine_are_cut(command: str, short: str) -> None:
    assert without_folders(command) == short


def test_the_page_asks_for_nothing(rows: Path, tmp_path: Path) -> None:
    page = write_leaderboard(find_rows([rows]), tmp_path / "page.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:image/png;base64,)", page)
    assert page.count("data:image/png;base64,") == 4
    assert page.count('class="row reference"') == 1
    assert "<b>gif-next</b>" not in page, "what a row says is text"


def test_mistakes_are_one_line(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no rows"):
        find_rows([tmp_path])
    (rows / "conv2d.png").write_text("<script>")
    with pytest.raises(BadInputError, match=r"conv2d.png: is not a PNG image"):
        write_leaderboard(find_rows([rows]), tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    (rows / "conv2d.png").unlink()
    page = write_leaderboard(find_rows([rows]), tmp_path / "page.html").read_text()
    assert page.count("<img") == 3, "a row without its picture still stands"


def test_counts_as_people_say_them() -> None:
    assert [short_count(n) for n in (0, 136, 14_467, 3_732_480, 2_304_000_000)] == [
        "0",
        "136",
        "14.5 k",
        "3.73 M",
        "2.3 G",
    ]


def test_the_verb(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(code: int, *words: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["leaderboard", *map(str, words)])
        assert (ended.value.code or 0) == code
        return capsys.readouterr().err.strip()

    told(0, rows, "-o", tmp_path / "a.html", "--markdown", tmp_path / "a.md")
    assert (tmp_path / "a.html").exists()
    assert (tmp_path / "a.md").exists()
    refused = told(2, rows, "--exclude", "moon", "-o", tmp_path / "b.html")
    assert refused.endswith("--exclude moon: no row lists a source whose name contains it")
    assert len(told(2, "--verify", rows / "gone.json").splitlines()) == 1


PROBE = """<script>
const log = {};
const order = () => [...document.querySelectorAll("tbody.row")].map(b => b.querySelector(".name b").textContent);
const click = n => { document.querySelectorAll("th button")[n].click(); return order(); };
addEventListener("load", () => {
  log.first = order(); log.again = click(1); log.ssim = click(3); log.names = click(0); log.parameters = click(4);
  log.pictures = [...document.images].map(i => i.naturalWidth > 100);
  log.requests = performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).length;
  log.best = [...document.querySelectorAll(".best")].map(b => b.closest("tbody").querySelector(".name b").textContent);
  log.wide = document.documentElement.scrollWidth <= innerWidth;
  document.title = JSON.stringify(log);
});
</script>"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(rows: Path, tmp_path: Path, width: int) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs chromium")
    page = write_leaderboard(find_rows([rows]), tmp_path / "page.html")
    page.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path}/profile", f"--window-size={width},900", "--virtual-time-budget=3000"]
    done = subprocess.run(
        [browser, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert found
    log = json.loads(found[1].replace("&amp;", "&"))
    assert log["first"] == ["mixture", "copy-last", "conv2d", "diverged"]
    assert log["again"] == ["conv2d", "copy-last", "mixture", "diverged"], "turned round; what has no figure is last"
    assert log["ssim"] == ["copy-last", "mixture", "conv2d", "diverged"], "the best first"
    assert log["names"] == sorted(log["names"])
    assert log["parameters"] == ["copy-last", "conv2d", "diverged", "mixture"]
    assert log["pictures"] == [True] * 4
    assert log["requests"] == 0
    assert sorted(log["best"]) == ["copy-last", "mixture"]
    assert log["wide"], "the page itself does not scroll sideways, only its table"
