"""What the app makes of a clip: the verdict in words, two models side by side, the images, and the command line."""

from __future__ import annotations

import importlib.util
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.checkpoint import resolve_model
from nextframe.cli import main
from nextframe.media.reader import read_video
from nextframe.media.writer import write_video
from nextframe.prediction.past.trust import Trust
from nextframe.web.app import Backend
from nextframe.web.board import BOARDS, leaderboard
from nextframe.web.examples import GREY
from nextframe.web.guard.store import Store
from nextframe.web.guide import documentation, help_text
from nextframe.web.limits import WebLimits
from nextframe.web.serve import addresses, beside
from nextframe.web.work.job import REPEATED, run_job
from nextframe.web.work.plan import Job
from nextframe.web.work.sheets import columns_of, write_sheet
from nextframe.web.work.verdict import Check, decibels, verdict
from nextframe.web.work.worker import Workers
from texture import texture

ROOT = Path(__file__).parent.parent


def run(clip: Path, folder: Path, *models: str, **changes: Any) -> dict[str, Any]:
    """Predict three frames of a clip by one model or two, as a worker does."""
    folder.mkdir(exist_ok=True)
    named = dict(zip(("model", "beside"), models, strict=False))
    named |= {f"{key}_name": name for key, name in named.items()}
    settings = {"name": clip.name, "frames": 3, "side": 64} | named | changes
    job = Job(clip=str(clip), folder=str(folder), **settings)
    return run_job(job, {name: resolve_model(spec) for name, spec in job.models.items()}, lambda stage: None)


def ramp(tmp_path: Path, frames: int = 10) -> Path:
    """Write a clip in which frame t is grey 12 t all over: repeating is 12, 24, ... off, a line is exact."""
    clip = 12 * torch.arange(frames).view(-1, 1, 1, 1).expand(-1, 1, 16, 20)
    return write_video(tmp_path / "clip.npy", clip.to(torch.uint8))


# --- the verdict


def said(predicted: list[float], repeated: list[float], asked: int = 2, **more: Any) -> str:
    return verdict(Check(Trust("a.mp4", "motion", asked, tuple(predicted), tuple(repeated)), **more))


def test_decibels_are_those_of_each_frame_and_their_mean():
    assert decibels([0.01, 0.001]) == pytest.approx(25)  # 20 and 30
    assert decibels([0.0, 0.01]) == pytest.approx(40)  # no error counts as 60


def test_the_verdict_says_how_much_better_and_how_far():
    two = "the last frame on the 2 frames after the split"
    all_of = "Trust all 2 frames: each is nearer to the truth."
    assert said([0.01, 0.01], [0.1, 0.1]) == f"motion is 10.0 dB better than repeating {two}. {all_of}"
    beside = said([0.01, 0.01], [0.1, 0.1], others={"linear": (0.5, 0.5), "flow": (0.02, 0.02)})
    assert beside == f"motion is 10.0 dB better than repeating {two}, and 3.0 dB better than flow. {all_of}"
    worse = "Do not trust it here: repeating a frame is nearer to the truth from the first frame on."
    assert said([0.1, 0.1], [0.01, 0.1]) == f"motion is 5.0 dB worse than repeating {two}. {worse}"
    later = "Trust about one frame: after that, repeating a frame is at least as near to the truth."
    assert said([0.01, 0.1], [0.1, 0.01]) == f"motion is as good as repeating {two}. {later}"


def test_the_verdict_on_the_past_names_it_and_what_could_not_be_tried():
    line = said([0.01, 0.01], [0.1, 0.1], asked=9, past=True)
    assert "repeating the last frame on this clip's own last 2 frames. " in line
    assert line.endswith("Trust about 2 frames: more could not be tried on this clip.")
    one = said([0.01], [0.1], asked=1, past=True)
    assert one.endswith("on this clip's own last frame. Trust it: it is nearer to the truth.")
    assert "repeating the frame before each on" in said([0.01], [0.1], one_step=True)


def test_the_verdict_follows_from_the_errors_on_the_clip(tmp_path):
    """Repeating the last frame has 26.5, 20.5 and 17.0 dB, 21.4 on average; a line through two frames is exact: 60."""
    found = run(ramp(tmp_path), tmp_path / "out", "copy-last", "linear", split=0.5)
    assert found["verdicts"] == [
        "copy-last is as good as repeating the last frame on the 3 frames after the split, and 38.6 dB worse than "
        "linear. Do not trust it here: repeating a frame is nearer to the truth from the first frame on.",
        "linear is 38.6 dB better than repeating the last frame. Trust all 3 frames: each is nearer to the truth.",
    ]
    assert found["errors"]["linear"] == pytest.approx([0, 0, 0], abs=1e-9)


def test_after_the_end_the_models_are_tried_on_as_many_last_frames_as_there_are(tmp_path):
    clip = ramp(tmp_path)  # the line needs two frames, so eight of ten can be tried
    found = run(clip, tmp_path / "out", "linear", split=1.0, frames=20)
    assert found["verdicts"][0].startswith("linear is ")
    assert found["verdicts"][0].endswith("Trust about 8 frames: more could not be tried on this clip.")
    assert found["errors"][REPEATED] == pytest.approx([(12 * t / 255) ** 2 for t in range(1, 9)])
    short = run(ramp(tmp_path, frames=2), tmp_path / "short", "linear", split=1.0)
    assert short["verdicts"] == []
    assert short["errors"] == {}


# --- two models, and the size that they were trained at


def test_two_models_stand_side_by_side_with_their_times(tmp_path):
    found = run(ramp(tmp_path), tmp_path / "out", "linear", "flow", split=0.5)
    panels = found["player"]["panels"]
    assert [panel["title"] for panel in panels] == ["the clip", "linear", "flow", "error of linear"]
    assert all(panel["note"].endswith(" s") for panel in panels[1:3])
    assert (found["player"]["given"], found["player"]["ahead"]) == (5, 3)
    assert panels[3]["start"] == 5, "the error begins where the prediction does"
    assert found["downloads"] == {"linear": "prediction", "flow": "prediction-2"}


def test_a_model_gets_frames_at_the_size_of_its_training_and_the_page_says_so(tmp_path):
    clip = write_video(tmp_path / "wide.npy", torch.cat([texture(96, 160, 1.5 * t, 0.5 * t) for t in range(24)]))
    found = run(clip, tmp_path / "out", "digits", split=0.5, side=160)
    note = "digits was trained on 64x64, the video is 96x160: frames are scaled to 64x107 and back"
    assert note in found["notes"]
    assert " --fit " in found["command"]
    assert found["player"]["size"] == [96, 160]
    plain = run(clip, tmp_path / "flow", "flow", split=0.5, side=160)
    assert "--fit" not in plain["command"]


def test_the_page_of_a_model_of_grey_frames_opens_on_grey_ones(tmp_path):
    examples = {"people talking": tmp_path / "a.mp4", GREY: tmp_path / "b.gif"}
    opened = {}
    for name in ("motion", "digits"):
        store, models = Store(keep=60), {name: name}
        opened[name] = Backend(models, beside(models), examples, WebLimits(), store, Workers(0, [])).usual_example
        store.close()
    assert opened == {"motion": "people talking", "digits": GREY}


# --- what comes out


def test_a_sheet_holds_every_frame_in_order_and_small_ones_exactly(tmp_path):
    frames = torch.randint(0, 256, (7, 3, 5, 9), dtype=torch.uint8, generator=torch.manual_seed(0))
    write_sheet(frames, tmp_path / "sheet.webp")
    sheet, across = np.asarray(Image.open(tmp_path / "sheet.webp").convert("RGB")), columns_of(7)
    assert across == 3
    for number, frame in enumerate(frames):
        row, column = divmod(number, across)
        cut = sheet[5 * row : 5 * row + 5, 9 * column : 9 * column + 9]
        assert np.array_equal(cut, frame.permute(1, 2, 0).numpy()), number


@pytest.mark.parametrize("changes", [{"split": 0.5}, {"split": 1.0}, {"split": 0.5, "one_step": True}])
def test_the_command_and_the_python_make_the_same_files(tmp_path, monkeypatch, changes):
    clip = write_video(tmp_path / "my clip.npy", torch.cat([texture(48, 72, 1.5 * t, 0.5 * t) for t in range(24)]))
    found = run(clip, tmp_path / "out", "digits", "flow", **changes)
    expected = {name: (tmp_path / "out" / name).read_bytes() for name in ("prediction.gif", "prediction-2.gif")}
    monkeypatch.chdir(tmp_path)
    for line in found["command"].splitlines():
        with pytest.raises(SystemExit) as done:
            main(shlex.split(line)[1:])
        assert not done.value.code
    assert {name: (tmp_path / name).read_bytes() for name in expected} == expected
    assert len(read_video(tmp_path / "prediction.gif")[0]) == found["player"]["given"] + 3
    for name in expected:
        (tmp_path / name).unlink()
    exec(found["python"], {})
    assert {name: (tmp_path / name).read_bytes() for name in expected} == expected


# --- the other tabs, and where the page is


def test_the_leaderboard_of_the_package_is_that_of_the_committed_results():
    spec = importlib.util.spec_from_file_location("app_boards", ROOT / "scripts" / "app_boards.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert BOARDS.read_text(encoding="utf-8") == script.text(script.every_board()), "make docs writes it again"


def test_the_leaderboard_is_filled_and_a_users_own_comes_first():
    shown, rows = leaderboard([]), json.loads((ROOT / "results" / "real-next.json").read_text())["rows"]
    first = {row["model"]: f"<td>{row['figures']['psnr']['per_step'][0]:.2f}</td>" for row in rows}
    places = [shown.index(f"<th>{name}</th>{first[name]}") for name in ("motion", "copy-last")]
    assert places == sorted(places)
    assert "iframe" not in shown
    own = leaderboard([ROOT / "results" / "gif-next" / "flow.json"])
    assert own.index("<iframe") < own.index("<th>motion</th>")


def test_the_help_says_what_each_model_was_trained_for_and_where_to_read_more():
    text = help_text({"digits": "digits", "flow": "flow"})
    assert "10 frames from 10, 64x64, grey." in text
    assert "| `flow` | Moves the last frame on" in text
    assert documentation(["Homepage, https://a.example", "Documentation, https://b.example/docs"]) == (
        "[Documentation](https://b.example/docs)"
    )
    assert documentation(["Repository, https://a.example"]) == "[Documentation](https://a.example)"
    for command in ("nextframe --help", "nextframe models NAME", "nextframe settings VERB"):
        assert f"`{command}`" in text
    assert documentation([]).index("installed package") < documentation([]).index("in the source")


def test_the_app_says_where_it_is_found_from_here_and_from_elsewhere():
    assert addresses("127.0.0.1", 80) == ("http://127.0.0.1:80", "")
    assert addresses("::1", 80) == ("http://[::1]:80", "")
    here, others = addresses("0.0.0.0", 80)
    assert here == "http://localhost:80"
    assert others.startswith("http://")
    assert not any(name in others for name in ("0.0.0.0", "localhost", "127."))
    assert addresses("10.1.2.3", 80) == ("http://10.1.2.3:80",) * 2
