"""Training of the weights that come with the package: its material, its schedule, going on, results and card."""

import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

import nextframe
from nextframe.checkpoint.weights import SHIPPED
from nextframe.core.clip import Task
from nextframe.core.errors import BadInputError, UserError
from nextframe.recipes.weights.__main__ import main
from nextframe.recipes.weights.asked import Asked
from nextframe.recipes.weights.card import ship, write_card
from nextframe.recipes.weights.feed import Feed
from nextframe.recipes.weights.loop import LONG, Loop, ahead
from nextframe.recipes.weights.material import find, read_list
from nextframe.recipes.weights.measure import cut, measure
from nextframe.recipes.weights.motion import MOTION
from nextframe.recipes.weights.plans import PLANS, Pace, Plan
from nextframe.recipes.weights.videos import VideoClips, held, read_stills, read_video
from nextframe.recipes.weights.work import train_weights, training_config
from texture import texture

REAL = Path(__file__).resolve().parents[2] / "shared" / "motion" / "data"
RGB_BGR = [0, 1, 2], [2, 1, 0]
PACE = Pace(2, 2, 32, scratch=8e-4, tuned=3e-5, further=1.5e-5, ema=0.9, validate_every=600)


def write_video(path: Path, frames: int, step: float) -> None:
    """Write frames of 64x48 in which a texture moves by `step` pixels a frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (64, 48))
    for t in range(frames):
        frame = texture(48, 64, dx=-step * t, channels=3)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A folder of small material, with its list in list.json; one file of the list is absent."""
    folder = tmp_path_factory.mktemp("material")
    names = {"walks": ["walk_a.mp4", "walk_b.mp4"], "real": ["real_a.mp4", "real_b.mp4"]}
    for number, name in enumerate(name for of in names.values() for name in of):
        write_video(folder / name, 12 if name.endswith("a.mp4") else 7, 1.0 + 0.5 * number)
    stills = [(texture(96, 96, dx=7.0 * n, channels=3)[0] * 255).byte().permute(1, 2, 0).numpy() for n in range(4)]
    jpegs = [torch.from_numpy(cv2.imencode(".jpg", still)[1].ravel()) for still in stills]
    torch.save(jpegs, folder / "tex.pt")
    sums = {kind: {name: digest(folder / name) for name in of} for kind, of in names.items()}
    sums["real"]["real_absent.mp4"] = 64 * "0"
    values = {"stills": {"tex.pt": digest(folder / "tex.pt")}, **sums, "validation": ["walk_b.mp4", "real_b.mp4"]}
    (folder / "list.json").write_text(json.dumps(values))
    return folder


def digest(path: Path) -> str:
    from nextframe.core.files.whole_file import sha256_of

    return sha256_of(path)


def small(material: Path) -> Plan:
    return replace(MOTION, listed=material / "list.json", paces={"cpu": PACE})


@pytest.fixture(scope="module")
def trained(material, tmp_path_factory) -> Path:
    """OUT of two calls, which ran where neither av nor lightning_fabric can be imported."""
    out = tmp_path_factory.mktemp("weights") / "out"
    script = f"""
import sys
from pathlib import Path
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("av", "lightning_fabric", "pooch", "huggingface_hub", "typer"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
from dataclasses import replace
from nextframe.recipes.weights.__main__ import main
from nextframe.recipes.weights.motion import MOTION
from nextframe.recipes.weights.plans import PLANS, Pace
plan = replace(MOTION, listed=Path({str(material / "list.json")!r}), paces={{"cpu": {PACE}}})
PLANS.keep(())
PLANS.add("motion", plan)
words = ["--out", {str(out)!r}, "--data", {str(material)!r}, "--device", "cpu"]
sys.exit(main(["motion", "--steps", "2", *words]) or main(["motion", "--steps", "1", *words]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_a_second_call_goes_on_with_the_state_of_the_first(trained):
    state = torch.load(trained / "checkpoints" / "last" / "state.pt", weights_only=True)
    loop, record = state["loop"], state["record"]
    assert loop["step"] == 3
    assert loop["average"]["updates"] == LONG + 3  # from trained weights: without a warm-up
    assert {int(one["step"]) for one in loop["optimizer"]["state"].values()} == {3}
    assert [call["steps"] for call in record["calls"]] == [2, 1]
    assert [call["lr"] for call in record["calls"]] == [PACE.tuned, PACE.further]
    assert [line["step"] for line in record["lines"]] == [0, 2, 3]  # the start, and the end of each call


def test_what_is_written_loads_small_and_is_the_best_so_far(trained, material):
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    results = json.loads((trained / "results.json").read_text())
    best = max(lines, key=lambda line: line["mean"])
    assert results["validation"]["step"] == best["step"]
    assert results["validation"]["after"]["psnr"] == best["psnr"]
    assert results["validation"]["before"]["psnr"] == pytest.approx(lines[0]["psnr"], abs=1e-3)  # both are the start
    assert (trained / "model" / "model.safetensors").stat().st_size <= 8e6
    assert digest(trained / "model" / "model.safetensors") == results["weights_sha256"]
    model = nextframe.load(trained)
    task = MOTION.judged
    clips = [cut(name, read_video(material / f"{name}.mp4"), task) for name in results["validation"]["clips"]]
    assert measure(model, clips, task, "cpu").plain() == results["validation"]["after"]
    newest = measure(nextframe.load(trained / "last"), clips, task, "cpu").plain()  # kept where it is not the best too
    assert newest["psnr"] == lines[-1]["psnr"]


def test_results_say_how_they_came_about(trained, material):
    results = json.loads((trained / "results.json").read_text())
    call = results["calls"][0]
    assert call["command"] == "python -m nextframe.recipes.weights motion --steps 2 --seed 0"
    assert f"torch {torch.__version__}" in call["machine"]
    assert {"seed", "commit", "date", "seconds", "batch", "crop", "ema", "stopped"} <= call.keys()
    assert results["start"]["from"] == "shipped"
    listed = json.loads((material / "list.json").read_text())
    assert results["data"]["used"]["tex.pt"] == listed["stills"]["tex.pt"]
    assert str(material) not in (trained / "results.json").read_text()


def test_the_card_has_the_figures_of_the_results(trained):
    card = (trained / "README.md").read_text()
    results = json.loads((trained / "results.json").read_text())
    row = next(line for line in card.splitlines() if line.startswith("| these |"))
    cells = [float(cell) for cell in row.split("|")[2:-1]]
    after = results["validation"]["after"]
    assert cells == [
        *(float(f"{value:.2f}") for value in after["psnr"]),
        *(float(f"{value:.4f}") for value in after["l1"]),
        *(float(f"{value:.2f}") for value in after["held_psnr"]),
    ]
    assert results["weights_sha256"] in card
    for name, sha in results["data"]["used"].items():
        assert f"| {name} | `{sha}` |" in card
    assert "Kept for validation, and not trained on: walk_b.mp4, real_b.mp4." in card


def test_a_file_that_differs_is_refused_in_one_line(material, tmp_path, capsys):
    folder = shutil.copytree(material, tmp_path / "changed")
    path = folder / "real_a.mp4"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"real_a\.mp4: its SHA-256 is not the one on the list"):
        find(folder, read_list(material / "list.json"))
    out = tmp_path / "out"
    words = ["motion", "--steps", "1", "--out", str(out), "--data", str(folder), "--list", str(material / "list.json")]
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert not out.exists()


def test_an_absent_folder_and_an_unknown_name_are_refused_in_one_line(tmp_path, capsys):
    assert main(["motion", "--steps", "1", "--data", str(tmp_path / "none")]) == 2
    assert main(["motoin", "--steps", "1"]) == 2
    absent, unknown = capsys.readouterr().err.splitlines()
    assert "there is no such folder of training material; set MOTION_DATA" in absent
    assert "unknown name of weights 'motoin'; did you mean 'motion'? (one of: catz-mixture, " in unknown


def test_a_part_of_the_material_is_enough_and_stands_on_the_card(trained, material, tmp_path):
    results, card = json.loads((trained / "results.json").read_text()), (trained / "README.md").read_text()
    assert results["data"]["missing"] == ["real_absent.mp4"]
    assert "these were absent and not used: real_absent.mp4." in card
    folder = shutil.copytree(material, tmp_path / "part")
    for name in ("real_a.mp4", "walk_b.mp4"):
        (folder / name).unlink()
    (folder / "stranger.mp4").write_bytes(b"not on the list, not read")
    found = find(folder, read_list(material / "list.json"))
    assert sorted(found.used) == ["real_b.mp4", "tex.pt", "walk_a.mp4"]
    assert set(small(material).open(found, 32).sets(1)) == {"scenes", "walks"}
    assert [path.name for path in found.validation()] == ["real_b.mp4"]


def test_without_a_video_to_validate_on_nothing_starts(material, tmp_path):
    folder = shutil.copytree(material, tmp_path / "part")
    for name in ("walk_b.mp4", "real_b.mp4"):
        (folder / name).unlink()
    with pytest.raises(BadInputError, match="has none of the videos kept for validation"):
        find(folder, read_list(material / "list.json"))


def test_a_folder_is_gone_on_with_only_as_it_began(trained, material, tmp_path):
    plan, again = small(material), Asked("motion", trained, material, steps=1, device="cpu")
    with pytest.raises(BadInputError, match="has a state to go on from; omit START"):
        train_weights(plan, replace(again, start="shipped"))
    part = shutil.copytree(material, tmp_path / "part")
    (part / "real_a.mp4").unlink()
    with pytest.raises(BadInputError, match="was trained on other files"):
        train_weights(plan, replace(again, data=part))
    with pytest.raises(BadInputError, match="holds other things"):
        train_weights(plan, replace(again, out=material))


def test_the_rate_rises_in_a_twentieth_and_falls_to_zero_as_half_a_cosine(material):
    loop = tiny_loop(small(material), material)
    rates = {}
    for progress in (0.0, 0.025, 0.05, 0.525, 1.0):
        loop.train_step(progress)
        rates[progress] = loop.rate / PACE.scratch
    assert rates == pytest.approx({0.0: 0, 0.025: 0.5, 0.05: 1, 0.525: 0.5, 1.0: 0}, abs=1e-6)
    assert loop.average.updates == 5


def test_the_average_of_trained_weights_has_its_full_decay_from_the_first_step(material):
    plan = small(material)
    for trained, share in ((True, 1 - PACE.ema), (False, 1 - 2 / 11)):  # else (1 + n) / (10 + n) at step 1
        loop = tiny_loop(plan, material, trained)
        weight = loop.model.get_parameter("coarse.leave.weight")
        before = weight.detach().clone()
        loop.train_step(0.05)
        moved, kept = weight.detach() - before, loop.average.weights["coarse.leave.weight"] - before
        assert moved.abs().max() > 1e-5
        assert torch.allclose(kept, share * moved, atol=1e-7)


def test_the_rate_of_a_later_call_is_lower_and_the_frames_ahead_grow(material):
    assert [ahead(progress) for progress in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)] == [1, 1, 2, 2, 3, 3]
    cuda, cpu = MOTION.pace("cuda"), MOTION.pace("cpu")
    assert (cuda.rate(True, False), cuda.rate(False, False), cuda.rate(True, True)) == (8e-4, 2e-4, 2e-4)
    assert cpu.rate(False, True) < cpu.rate(False, False) <= 3e-5
    assert cpu.batch * cpu.accumulate >= 16
    assert cpu.side >= 160


def tiny_loop(plan: Plan, folder: Path, trained: bool = False) -> Loop:
    """A loop over the videos alone: its steps take a moment."""
    data = plan.open(find(folder, read_list(plan.listed)), PACE.side)
    videos = {n: {name: data.sets(n)[name] for name in ("walks", "real")} for n in (1, 2, 3)}
    feed = Feed(lambda frames: videos[frames], ("walks", "real"), PACE.batch, 0, "cpu")
    asked = Asked("motion", folder, folder, steps=5)
    torch.manual_seed(0)
    model = nextframe.create_model("motion", widths=(8, 8, 8, 8), depths=(2, 2, 2, 2))
    return Loop(model, feed, training_config(asked, PACE, "cpu", PACE.scratch), PACE.accumulate, trained)


def test_turns_give_three_fifths_scenes_and_a_fifth_of_each_kind_of_video():
    turns = list(MOTION.turns)
    assert {name: turns.count(name) / len(turns) for name in turns} == {"scenes": 0.6, "walks": 0.2, "real": 0.2}
    assert MOTION.pace("cpu").accumulate == len(turns)  # so each step on a CPU has all of them


def ramp(frames: int, side: int = 40) -> Tensor:
    """Frames of which each is 5 levels brighter than the one before."""
    return (5 * torch.arange(frames, dtype=torch.uint8)).view(-1, 1, 1, 1).expand(-1, 3, side, side).contiguous()


def test_clips_of_videos_are_a_function_of_the_index_and_step_by_one_or_two_frames():
    clips = VideoClips("ramp", [ramp(30)], Task.forecast(3, 3), 32)
    together = clips.read("train", np.arange(60))
    alone = clips.read("train", np.array([17]))
    assert torch.equal(together.frames[17:18], alone.frames)
    steps = together.frames[:, :, 0, 0, 0].int().diff(dim=1)
    constant = (steps == steps[:, :1]).all(1)
    assert set(steps[constant][:, 0].tolist()) == {5, 10, -5, -10}
    rest = steps[~constant]  # held: a frame stays, or the next one comes
    assert ((rest == 0).any(1) & (rest.abs() <= 10).all(1)).all()
    assert 0 < len(rest) < 15  # 60 clips, 6 % of them; the seed is fixed


def test_held_frames_are_shown_twice_or_three_times_or_irregularly():
    found = {tuple(held(6, np.random.default_rng(seed))) for seed in range(200)}
    twos, threes = (
        {(0, 0, 1, 1, 2, 2), (0, 1, 1, 2, 2, 3)},
        {(0, 0, 0, 1, 1, 1), (0, 0, 1, 1, 1, 2), (0, 1, 1, 1, 2, 2)},
    )
    assert twos | threes <= found
    assert len(found) > 8
    assert all(shown[0] == 0 and set(np.diff(shown)) <= {0, 1} for shown in found)


def test_validation_clips_are_spread_over_the_video_and_scored_by_hand():
    task = Task.forecast(3, 3)
    one = cut("ramp", ramp(30), task, 2)
    assert one.frames[:, 0, 0, 0, 0].tolist() == [0, 5 * 24]  # the first and the last start
    assert one.held[0, :, 0, 0, 0].tolist() == [5 * n for n in (24, 24, 25, 25, 26, 26)]
    assert one.held[1, :, 0, 0, 0].tolist() == [0, 5, 5, 10, 10, 15]
    score = measure(nextframe.create_model("copy-last").eval(), [one], task, "cpu")
    assert score.l1 == pytest.approx([5 / 255, 10 / 255, 15 / 255], rel=1e-5)
    assert score.psnr == pytest.approx([20 * math.log10(255 / d) for d in (5, 10, 15)], rel=1e-5)
    assert score.mean == pytest.approx(np.mean(score.psnr))
    first = (60 + 20 * math.log10(255 / 5)) / 2  # the same frame once, at most 60 dB, and the next one once
    assert score.held_psnr[0] == pytest.approx(first, rel=1e-5)


def test_a_video_is_scaled_to_256_pixels_on_its_longest_side_and_read_whole(material):
    video = read_video(material / "walk_a.mp4")
    assert video.shape == (12, 3, 48, 64)
    red_first, blue_first = ((video[0] / 255 - texture(48, 64, channels=3)[0][order]).abs().mean() for order in RGB_BGR)
    assert red_first < 0.04 < 3 * red_first < blue_first
    assert cut("x", torch.zeros(6, 3, 240, 320, dtype=torch.uint8), MOTION.task).frames.shape[-2:] == (192, 256)
    assert read_stills(material / "tex.pt").shape == (4, 3, 96, 96)


def test_only_better_weights_take_the_place_of_those_that_ship(trained, tmp_path):
    out, shipped = shutil.copytree(trained, tmp_path / "out"), tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "LICENSE").write_text("terms")
    results = json.loads((out / "results.json").read_text())
    results["validation"]["improved"] = False
    (out / "results.json").write_text(json.dumps(results))
    with pytest.raises(UserError, match="no better on the validation clips"):
        ship(out, shipped)
    assert sorted(path.name for path in shipped.iterdir()) == ["LICENSE"]
    results["validation"]["improved"] = True
    (out / "results.json").write_text(json.dumps(results))
    ship(out, shipped)
    names = sorted(path.name for path in shipped.iterdir())
    assert names == ["LICENSE", "README.md", "config.json", "model.safetensors", "results.json"]
    trained = nextframe.load(shipped).trained
    assert trained is not None
    assert "intel-iot-devkit" in trained.sources, "a benchmark says so if it measures such videos"


def test_the_card_that_ships_is_what_its_files_say(tmp_path):
    folder = shutil.copytree(SHIPPED / "motion", tmp_path / "motion")
    write_card(MOTION, folder)
    assert (folder / "README.md").read_text() == (SHIPPED / "motion" / "README.md").read_text()
    listed = read_list(MOTION.listed)
    assert set(listed.validation) <= {name for files in listed.kinds.values() for name in files}
    assert not re.search(r"Undefined|None", (folder / "README.md").read_text())


def test_the_list_of_the_package_is_that_of_the_material():
    if not REAL.is_dir():
        pytest.skip("needs the material in ../shared/motion/data")
    found = find(REAL, read_list(MOTION.listed))
    assert found.missing == ()
    assert len(found.used) == 58
    assert {path.name[:4] for path in found.validation()} == {"doom", "real"}
    assert not set(found.validation()) & {*found.training("walks"), *found.training("real")}


def test_the_command_says_nothing_of_the_machine():
    asked = Asked("motion", Path("/home/me/out"), Path("/data"), minutes=8, start="/home/me/model", lr=2e-4)
    assert asked.command() == (
        "python -m nextframe.recipes.weights motion --minutes 8 --lr 0.0002 --seed 0 --start model"
    )
    assert "motion" in PLANS
