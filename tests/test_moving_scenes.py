"""Moving scenes: exact flow by hand and by warping; held, cut and noisy frames; clips depend on their index alone."""

from __future__ import annotations

import logging
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.core.clip import Clip, Task
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import clip_noise
from nextframe.data import DataConfig, MixedClips, clips, open_data
from nextframe.data.clipset import SPLITS
from nextframe.data.sets.scenes import finish
from nextframe.data.sets.scenes.bank import Bank, counts_of
from nextframe.data.sets.scenes.clips import MovingScenes, open_moving_scenes, windows
from nextframe.data.sets.scenes.draws import Draws
from nextframe.data.sets.scenes.looks import Counts
from nextframe.data.sets.scenes.motion import NEVER, inverse, matrices
from nextframe.data.sets.scenes.plan import (
    CAMERA,
    DRAWING,
    KINDS,
    LAYERS,
    NEAR,
    OBJECTS,
    STILL,
    TEXT,
    WALK,
    Recording,
    Scene,
    draw_recording,
    draw_scene,
)
from nextframe.data.sets.scenes.render import Renderer
from nextframe.data.sets.scenes.stills import SIDE, stills_of
from nextframe.flow.warp import backward_warp
from nextframe.layers.window import since_cut
from nextframe.models.motion import Motion, MotionConfig
from nextframe.training.loader import Steps

TASK, SIZE = Task.forecast(3, 3), (48, 64)
COUNTS = Counts(10, 50, 56, 20)


@pytest.fixture(scope="module")
def scenes() -> MovingScenes:
    opened = open_data(DataConfig(name="moving-scenes", context=3, horizon=3, size=SIZE))
    assert isinstance(opened, MovingScenes)
    return opened


def plans(count: int, seed: int = 0) -> tuple[Scene, Recording]:
    draws = Draws(np.arange(count), "test", seed)
    scene = draw_scene(draws, COUNTS, SIZE, 5)
    return scene, draw_recording(draws, scene.kind, TASK, 1)


def at(scenes: MovingScenes, indices: list[int] | np.ndarray, split: str = "train") -> Clip:
    return scenes.on_device(split, scenes.read(split, np.array(indices)), "cpu")


def plain(scene: Scene) -> Scene:
    """Return a copy in which nothing moves, waves or is drawn but the background."""
    scene = pickle.loads(pickle.dumps(scene))
    for table in (scene.paths, scene.camera):
        for name, value in vars(table).items():
            value[...] = NEVER if name == "turn" else 1 if name == "nearness" else 0
    scene.looks.wave[..., 0], scene.count[:] = 0, 1
    return scene


def smooth_bank(side: int = 96) -> Bank:
    y, x = torch.meshgrid(torch.linspace(0, 20, side), torch.linspace(0, 20, side), indexing="ij")
    texture = torch.stack([torch.sin(x + y / 2), torch.cos(y), torch.sin(x - y)]) / 2 + 0.5
    disc = 40 - (torch.arange(256.0)[:, None] - 127.5).hypot(torch.arange(256.0) - 127.5)
    return Bank((texture * 255).round().byte().unsqueeze(0), disc.unsqueeze(0).contiguous())


def one_scene() -> Scene:
    scene = plain(plans(1)[0])
    for name, value in {
        "texture": 0,
        "texel": 0.7 * SIDE / 96,
        "shift": 0,
        "gain": 1,
        "offset": 0,
        "outline": 0,
    }.items():
        getattr(scene.looks, name)[...] = value
    scene.looks.soft[...], scene.looks.opacity[...], scene.looks.line[...], scene.looks.size[...] = 1, 1, 0, 0.25
    return scene


def test_a_layer_that_moves_evenly_has_that_flow_and_that_motion():
    scene, renderer = one_scene(), Renderer(smooth_bank(), SIZE, 4)
    scene.count[:], scene.paths.velocity[0, 1] = (
        2,
        (3, -2),
    )  # a disc of 10 pixels' radius; half of the clip is at time 2
    times = np.array([[2.0, 3.0]])
    frames = renderer.drawn(scene, times)
    flow = renderer.flow(scene, times[:, 1:], np.array([[[1.0, 2.0]]]))[0, 0]  # (4, H, W)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] - np.array(SIZE)[:, None, None] / 2 + 0.5
    inside = torch.from_numpy(np.hypot(x - 3, y + 2) < 9)
    outside = torch.from_numpy(np.hypot(x - 3, y + 2) > 11)
    assert torch.allclose(flow[:, inside].mT, torch.tensor([-6.0, 4.0, -3.0, 2.0]), atol=1e-4)
    assert flow[:, outside].abs().max() < 1e-4
    before, after = frames[0, 0], frames[0, 1]
    assert torch.allclose(
        after[:, 5:40, 10:60], torch.where(inside, before.roll((-2, 3), (1, 2)), after)[:, 5:40, 10:60], atol=1e-4
    )
    warped = backward_warp(before.unsqueeze(0), flow[2:].unsqueeze(0))[0]
    assert torch.allclose(warped[:, inside], after[:, inside], atol=1e-4)


@pytest.mark.parametrize("what", ["spin", "growth", "wave", "roll", "dolly", "slant", "acceleration", "shake"])
def test_the_frame_before_warped_by_the_flow_is_the_frame(what):
    scene, renderer = one_scene(), Renderer(smooth_bank(), SIZE, 2)
    paths, camera = scene.paths, scene.camera
    moving = {"spin": paths.spin, "growth": paths.growth, "roll": camera.roll, "dolly": camera.dolly}
    if what == "wave":
        scene.looks.wave[..., 0, :], scene.looks.wave[..., 1, :] = (3, 0.2, 0.7, 1), (2, 0.15, -0.9, 2)
    elif what == "slant":
        camera.velocity[:], paths.slant[:] = (4, 1), 0.3
    elif what == "acceleration":
        camera.velocity[:], camera.acceleration[:] = (3, 1), (2, -1)
    elif what == "shake":
        camera.shake[:] = (2, 1.3, 0.4)
    else:
        moving[what][:] = 0.06
    times = np.array([[0.0, 1.0]])
    before, after = renderer.drawn(scene, times)[0]
    flow = renderer.flow(scene, times[:, 1:], times[:, :1, None])[0]
    assert flow.abs().mean() > 0.5
    warped = backward_warp(before.unsqueeze(0), flow)[0]
    inner = (..., slice(8, -8), slice(8, -8))
    assert (warped - after)[inner].abs().max() < 0.02  # bilinear where the scene was sampled by cubics
    assert (before - after)[inner].abs().max() > 0.05


def test_bounces_and_stops_by_hand():
    paths = one_scene().paths
    paths.velocity[0, 0], paths.turn[0, 0], paths.rebound[0, 0] = (2, 1), (2, NEVER, NEVER), (0.5, 0, 0)  # x bounces
    paths.velocity[0, 1], paths.turn[0, 1] = (2, 1), 1  # stops
    camera = one_scene().camera
    where = matrices(paths, camera, np.array([[0.0, 1, 2, 3, 4]]), 0.0, 24)[0, :2, :, :, 2]
    assert where[0].tolist() == [[0, 0], [2, 1], [4, 2], [3, 3], [2, 4]]
    assert where[1].tolist() == [[0, 0], [2, 1], [2, 1], [2, 1], [2, 1]]
    both = matrices(paths, camera, np.array([[1.0]]), 0.0, 24)[0, 1, 0]
    assert np.allclose(inverse(both)[:, :2] @ both[:, 2] + inverse(both)[:, 2], 0)


def test_near_layers_move_more():
    paths, camera = one_scene().paths, one_scene().camera
    paths.nearness[0, :3], camera.velocity[0] = (0.25, 1, 0), (4, 0)
    where = matrices(paths, camera, np.array([[3.0]]), 0.0, 24)[0, :3, 0, 0, 2]
    assert where.tolist() == [-3, -12, 0]


def test_the_shares_of_kinds_and_of_what_is_done_to_them():
    scene, recording = plans(4000)
    shares = np.bincount(scene.kind, minlength=len(KINDS)) / 4000
    assert np.abs(shares - list(KINDS.values())).max() < 0.025
    still = (scene.kind == STILL) | (scene.kind == NEAR)
    assert abs(still.mean() - 0.3) < 0.025
    noisy = (recording.grain[:, 0] > 0) | (recording.usual > 0)
    assert noisy[still].mean() > 0.75
    assert 0.35 < noisy[~still].mean() < 0.55
    assert np.ptp(recording.times[scene.kind == STILL]) == 0
    held = (recording.first != np.arange(6)).any(1)
    assert not held[still].any()
    assert 0.15 < held[~still].mean() < 0.23
    patterns = {"".join(map(str, row)) for row in recording.first[held]}
    assert {"002244", "011335", "000333", "011144"} <= patterns
    assert len(patterns) > 12, "irregular ones"
    assert 0.04 < (recording.cut > 0).mean() < 0.07
    assert set(recording.cut[recording.cut > 0]) == {1, 2}
    assert 0.05 < (recording.levels > 0).mean() < 0.12
    assert 0.05 < (recording.shutter > 0).mean() < 0.13
    assert 0.05 < recording.light.any(1).mean() < 0.11
    assert {CAMERA, OBJECTS, WALK, TEXT, DRAWING} <= set(scene.kind)
    for speed in (scene.paths.velocity[scene.kind == CAMERA], scene.looks.wave[scene.kind == CAMERA][..., 0]):
        assert not speed.any(), "in camera motion nothing moves by itself"
    plain = ~scene.looks.gain[:, 0].any(1)
    assert not scene.paths.nearness[plain, 0].any(), "a background of one colour cannot be seen to move"
    assert not scene.looks.wave[plain, 0].any()
    moving = (np.abs(scene.paths.velocity).max(2) > 0)[scene.kind == OBJECTS]
    assert not moving[:, 0].any()
    assert moving[:, 1:].mean() == pytest.approx(0.9, abs=0.03)


def test_held_frames_are_equal_and_have_no_flow(scenes):
    draws = Draws(np.arange(400), "moving-scenes", "train", 0)
    scene = draw_scene(draws, COUNTS, SIZE, 5)
    recording = draw_recording(draws, scene.kind, TASK, 1)
    held = np.flatnonzero((recording.first != np.arange(6)).any(1) & (recording.shutter == 0))[:6]
    clip = at(scenes, held)
    for row, first in zip(range(6), recording.first[held], strict=True):
        frames, flow = clip.frames[row], clip.extras["flow"][row].view(3, 3, 2, *SIZE)
        for target in range(3):
            for back in range(3):
                same = first[3 + target] == first[target + back]
                equal = torch.equal(frames[3 + target], frames[target + back])
                still = not flow[target, back].any()
                assert not same or (equal and still)
        for target in range(3):
            if first[3 + target] < 3:  # it repeats a context frame: its noise is known
                assert torch.equal(clip.extras["clean"][row, target], frames[3 + target])


def test_frames_before_a_cut_are_of_another_scene_and_flow_ends_at_the_cut(scenes):
    draws = Draws(np.arange(400), "moving-scenes", "train", 0)
    scene = draw_scene(draws, COUNTS, SIZE, 5)
    recording = draw_recording(draws, scene.kind, TASK, 1)
    moving = (scene.kind == OBJECTS) | (scene.kind == CAMERA)
    cut = np.flatnonzero((recording.cut == 2) & moving)[:4]
    clip = at(scenes, cut)
    for row in range(len(cut)):
        frames, flow = clip.frames[row], clip.extras["flow"][row].view(3, 3, 2, *SIZE)
        assert (frames[1] - frames[2]).abs().mean() > 3 * (frames[2] - frames[3]).abs().mean()
        assert torch.equal(flow[0, 0], flow[0, 2])  # to frames 0, 1 and 2: all to frame 2
        assert torch.equal(flow[1, 0], flow[1, 1])  # to frames 1, 2 and 3
        changes = frames[None, :3].flatten(2).diff(dim=1).abs().mean(2)
        assert since_cut(changes).tolist() == [[2, 2, 2]], "and `motion` reads frame 2 in their place"
    assert windows(TASK, 3).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert windows(Task.forecast(2, 2), 3).tolist() == [[0, 0, 1], [0, 1, 2]]
    assert windows(Task.interpolate(), 3).tolist() == [[0, 0, 1]]


def test_a_clip_depends_on_its_index_alone(scenes):
    many = at(scenes, np.arange(12))
    order = [7, 3, 11]
    some = at(scenes, order)
    alone = at(scenes, [7])
    device = torch.device("cpu")
    together = scenes.drawn("train", np.arange(12), device)  # in one piece, as a GPU draws them
    for n, index in enumerate(order):
        for name in ("context", "target"):
            assert torch.equal(getattr(many, name)[index], getattr(some, name)[n])
            assert (getattr(together, name)[index] - getattr(some, name)[n]).abs().max() < 0.5 / 255
        assert (together.extras["flow"][index] - some.extras["flow"][n]).abs().max() < 1e-3
    assert torch.equal(alone.frames[0], some.frames[0])
    with clip_noise("other", index=torch.tensor([5])):  # the noise is the clip's own, not the training step's
        assert torch.equal(at(scenes, [7]).frames, alone.frames)
    copy = pickle.loads(pickle.dumps(scenes))
    assert torch.equal(at(copy, [7]).frames, alone.frames)


def test_splits_and_seeds_are_different_clips(scenes):
    other = open_data(DataConfig(name="moving-scenes", context=3, horizon=3, size=SIZE, options={"seed": 1}))
    shown = [at(scenes, [4], split).frames for split in SPLITS] + [at(other, [4]).frames]
    assert all((a - b).abs().max() > 0.05 for n, a in enumerate(shown) for b in shown[:n])
    assert torch.equal(at(other, [4], "val").frames, shown[1])
    assert (scenes.count("train"), scenes.count("val"), scenes.count("test")) == (None, 200, 200)


def test_the_clean_target_lacks_the_grain(scenes):
    draws = Draws(np.arange(600), "moving-scenes", "train", 0)
    scene = draw_scene(draws, COUNTS, SIZE, 5)
    recording = draw_recording(draws, scene.kind, TASK, 1)
    grainy = (
        (recording.grain[:, 0] > 0.01)
        & (recording.usual == 0)
        & (scene.kind == STILL)
        & ~recording.light.any(1)
        & ~recording.grey
    )
    for index in np.flatnonzero(grainy & (recording.cut == 0))[:4]:
        clip, sigma = at(scenes, [index]), recording.grain[index, 0]
        clean = clip.extras["clean"]
        assert torch.equal(clean[:, 0], clean[:, 2])  # a still
        inner = (clean > 5 * sigma) & (clean < 1 - 5 * sigma)  # where nothing is cut off at black or white
        noise = (clip.target - clean)[inner]
        if len(noise) > 2000:
            assert abs(float(noise.mean())) < 0.15 * sigma
            assert 0.7 * sigma < float(noise.std()) < 1.3 * sigma
    wide = at(scenes, np.flatnonzero((recording.grain[:, 0] == 0) & (recording.usual == 0))[:8])
    assert torch.equal(wide.extras["clean"], wide.target)


def test_coding_in_blocks_keeps_what_its_quantiser_allows():
    frames = torch.rand(2, 2, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    kept = finish.compressed(frames, np.array([[1e-6, 1e-6], [0.0, 0.0]]))
    assert torch.allclose(kept, frames, atol=1e-4)
    coarse = finish.compressed(frames, np.full((2, 2), 0.5))
    assert 0.05 < float((coarse - frames).abs().mean()) < 0.4
    flat = torch.full((1, 1, 3, 8, 8), 0.3)
    level = float(finish.compressed(flat, np.array([[0.1]])).mean())
    assert level == pytest.approx(0.1 * round(0.3 * 8 / 0.1) / 8, abs=1e-5)  # the mean is an eighth of its coefficient
    cosine = finish.cosines(torch.device("cpu"))
    assert torch.allclose(cosine @ cosine.T, torch.eye(8), atol=1e-6)


def test_dithering_by_hand():
    tile = finish.bayer(torch.device("cpu"))
    assert sorted((tile.flatten() + 0.5).mul(64).tolist()) == [n + 0.5 for n in range(64)]
    assert (tile[:2, :2] + 0.5).mul(4).floor().tolist() == [[0, 2], [3, 1]]  # Bayer's tile of two
    recording = plans(1)[1]
    recording.levels[:], recording.dither[:] = 2, 1
    grey = torch.full((1, 1, 3, 8, 8), 0.25)
    two = finish.with_palette(grey, recording)
    assert set(two.unique().tolist()) == {0.0, 1.0}
    assert float(two.mean()) == 0.25  # a quarter of the pixels is white
    recording.levels[:], recording.dither[:] = 3, 0
    assert finish.with_palette(torch.full((1, 1, 3, 8, 8), 0.3), recording).unique().tolist() == [0.5]


def test_light_and_curtains_by_hand():
    recording = plans(1)[1]
    recording.grey[:], recording.first[:] = False, np.arange(6)
    frames = torch.full((1, 6, 3, 2, 2), 0.4)
    recording.light[:], recording.curtain[:] = (0.0, 0.25), 1
    assert finish.lit(frames, recording)[0, :, 0, 0, 0].tolist() == pytest.approx([0.4, 0.55, 0.7, 0.85, 1, 1])
    recording.light[:], recording.curtain[:] = (0.0, -0.1), 0  # away from the image
    assert finish.lit(frames, recording)[0, :, 0, 0, 0].tolist() == pytest.approx([0.2, 0.24, 0.28, 0.32, 0.36, 0.4])
    recording.light[:] = (0.5, 0.0)
    assert finish.lit(frames, recording)[0, :, 0, 0, 0].tolist() == pytest.approx([0.4, 0.6, 0.8, 1, 1, 1])


def test_motion_blur_is_the_mean_over_the_shutter():
    scene, renderer = one_scene(), Renderer(smooth_bank(), SIZE, 2)
    scene.camera.velocity[:] = (6, 0)
    still = renderer.blurred(scene, np.array([[1.0]]), np.array([0.0]))
    blurred = renderer.blurred(scene, np.array([[1.0, 1.0]]), np.array([0.6]))
    assert torch.equal(still, renderer.drawn(scene, np.array([[1.0]])))
    expected = renderer.drawn(scene, np.array([[0.75, 0.85, 0.95, 1.05, 1.15, 1.25]])).mean(1)
    assert torch.allclose(blurred[:, 1], expected, atol=1e-6)


def test_the_last_bits_of_a_number_do_not_matter(scenes):
    """Devices differ in the last bits: times that differ by a millionth of a frame must give the same frames."""
    indices = np.arange(16)
    frames, recording = [], None
    for later in (0.0, 1e-6):
        draws = Draws(indices, "moving-scenes", "train", 0)
        scene = draw_scene(draws, counts_of(scenes.stills["train"]), SIZE, 5)
        recording = draw_recording(draws, scene.kind, TASK, 1)
        images = scenes._renderer("train", torch.device("cpu")).blurred(
            scene, recording.times + later, recording.shutter
        )
        coded = finish.compressed(finish.lit(images, recording), recording.quantiser)
        frames.append(finish.with_palette(coded, recording).clamp(0, 1))
    assert not torch.equal(*frames)
    assert (frames[0] - frames[1]).abs().max() < 1 / 255


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same(scenes):
    indices = np.arange(200)
    there = scenes.on_device("train", scenes.read("train", indices), "cuda")
    here = at(scenes, indices)
    assert (there.frames.cpu() - here.frames).abs().max() < 2 / 255
    assert (there.extras["clean"].cpu() - here.extras["clean"]).abs().max() < 2 / 255
    apart = (there.extras["flow"].cpu() - here.extras["flow"]).abs() > 0.01
    assert apart.float().mean() < 1e-4  # a pixel at an edge may belong to either layer


def real(horizon: int = 3, channels: int = 3) -> object:
    videos = torch.randint(256, (12, 3 + horizon, channels, *SIZE), dtype=torch.uint8)
    return clips(videos, 3, horizon, name="real")


def test_a_mix_has_flow_for_its_scenes_only(scenes, caplog):
    other = real()
    with caplog.at_level(logging.WARNING):
        mix = MixedClips([scenes, other], [1, 1])
    assert not caplog.records
    indices = np.array([5, 2, 3, 0])
    parts, own = mix.place("train", indices)
    assert parts.tolist() == [1, 0, 1, 0]
    clip = mix.on_device("train", mix.read("train", indices), "cpu")
    assert clip.extras["flow_known"].tolist() == [False, True, False, True] == clip.extras["clean_known"].tolist()
    assert set(clip.extras) == {"flow", "flow_known", "clean", "clean_known"}
    ours = at(scenes, own[parts == 0])
    assert torch.equal(clip.frames[[1, 3]], ours.frames)
    assert torch.equal(clip.extras["flow"][[1, 3]], ours.extras["flow"])
    assert torch.equal(clip.frames[[0, 2]], other.read("train", own[parts == 1]).to("cpu").frames)
    assert not clip.extras["flow"][[0, 2]].any()
    assert torch.equal(clip.extra("clean", clip.target)[[0, 2]], clip.target[[0, 2]])
    assert torch.equal(clip.extra("clean", clip.target)[[1, 3]], ours.extras["clean"])
    only = mix.on_device("train", mix.read("train", indices[parts == 1]), "cpu")
    assert torch.equal(only.frames, clip.frames[[0, 2]])
    assert set(only.extras) == set(clip.extras), "batches are alike whatever is in them"
    double = MixedClips([mix, scenes], [1, 1])
    again = double.on_device("train", double.read("train", np.arange(6)), "cpu")
    of, own = double.place("train", np.arange(6))
    assert torch.equal(again.frames[of == 0], mix.on_device("train", mix.read("train", own[of == 0]), "cpu").frames)


def test_processes_share_the_batches_of_a_mix(scenes):
    mix = MixedClips([scenes, real()], [2, 1])
    whole = mix.on_device("train", Steps(mix, "train", 0, 6)[2], "cpu")
    for rank in range(2):
        mine = mix.on_device("train", Steps(mix, "train", 0, 6, rank, 2)[2], "cpu")
        assert torch.equal(mine.frames, whole.frames[rank::2])
        assert torch.equal(mine.extras["flow"], whole.extras["flow"][rank::2])
        assert mine.extras["flow_known"].tolist() == whole.extras["flow_known"][rank::2].tolist()
    sent = pickle.loads(pickle.dumps(Steps(mix, "train", 0, 6)))[2]  # as a loader's worker reads it
    assert torch.equal(mix.on_device("train", sent, "cpu").frames, whole.frames)


def test_the_loss_of_a_mix_is_that_of_its_clips(scenes):
    torch.manual_seed(0)
    model = Motion(MotionConfig(widths=(8, 8, 8, 8), depths=(2, 2, 2, 2)))
    mix = MixedClips([scenes, real()], [1, 1])
    clip = mix.on_device("train", mix.read("train", np.arange(4)), "cpu")
    known = clip.extras["flow_known"]
    scene = Clip(clip.context, clip.target, extras={n: clip.extras[n] for n in ("flow", "clean")})[known]
    with torch.no_grad():
        whole, ours = float(model.loss(clip)[0]), float(model.loss(scene)[0])
        others = float(model.loss(Clip(clip.context, clip.target)[~known])[0])
    assert whole == pytest.approx((ours + others) / 2, rel=1e-5)
    noisy = Clip(scene.context, torch.rand_like(scene.target), extras=scene.extras)
    with torch.no_grad():
        assert float(model.loss(noisy)[0]) == ours, "the clean target counts"


def test_stills_of_a_folder_are_split_by_picture(tmp_path: Path):
    for number in range(12):
        pixels = np.full((40, 90 if number else 30, 3), 20 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    found = stills_of(str(tmp_path))
    levels = [set(found[split].unique().tolist()) for split in SPLITS]
    assert sum(map(len, levels)) == 12 == len(set.union(*levels))
    assert all(levels)
    assert (
        sum(map(len, found.values())) == 11 * 3 + 2
    )  # 90 by 40 is two squares and a quarter, 30 by 40 one and a third
    opened = open_data(DataConfig(name="moving-scenes", size=(32, 32), options={"stills": str(tmp_path)}))
    assert at(opened, [0]).frames.shape == (1, 20, 3, 32, 32)


def test_stills_that_cannot_be_used_are_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"nowhere: there is no such folder of stills; give a folder of images"):
        stills_of(str(tmp_path / "nowhere"))
    for number in range(2):
        Image.new("RGB", (40, 40)).save(tmp_path / f"{number}.png")
    with pytest.raises(UserError, match=r"2 images found; at least 3 are needed"):
        stills_of(str(tmp_path))
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"2\.png: the image is damaged \(.*\)$"):
        stills_of(str(tmp_path))
    (tmp_path / "2.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"2\.png: not a readable image$"):
        stills_of(str(tmp_path))
    with pytest.raises(UserError, match=r"at least 3 images \(M, 3, h, w\) uint8, not torch.float32 \(4, 3, 8, 8\)"):
        stills_of(torch.rand(4, 3, 8, 8))
    config = DataConfig(name="moving-scenes", options={"still": "x"})
    with pytest.raises(UserError, match="unknown field 'still'; did you mean 'stills'"):
        open_data(config)
    with pytest.raises(UserError, match="size 8x8 is too small for a scene"):
        open_data(DataConfig(name="moving-scenes", size=(8, 8)))


def test_stills_may_be_a_tensor():
    images = torch.arange(20, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 30, 40).contiguous()
    found = stills_of(images)
    assert [part.unique().tolist() for part in found.values()] == [list(range(16)), [16, 17], [18, 19]]
    assert found["val"].shape == (2, 3, 30, 30)
    opened = open_moving_scenes(DataConfig(size=(32, 32), context=3, horizon=1, color="grey"), images)
    clip = at(opened, [0, 1])
    assert clip.context.shape == (2, 3, 1, 32, 32)
    assert clip.extras["clean"].shape == (2, 1, 1, 32, 32)
    assert clip.extras["flow"].shape == (2, 1, 6, 32, 32)


def test_frames_between_two_and_other_strides(scenes):
    between = open_data(DataConfig(name="moving-scenes", gap=1, size=(32, 32), options={"flows": 2}))
    clip = at(between, [4, 8, 9])
    assert (clip.context.shape[1], clip.target.shape[1], clip.extras["flow"].shape[2]) == (2, 1, 4)
    assert clip.conditions["offsets"].tolist() == [[-1, 1]] * 3
    moved = clip.extras["flow"].abs().amax((1, 3, 4)) > 0.5
    assert moved.any()
    evenly = (clip.extras["flow"][:, 0, :2] + clip.extras["flow"][:, 0, 2:]).abs().mean()
    assert evenly < 0.3 * clip.extras["flow"].abs().mean(), "one frame is before, one after"
    slow, fast = plans(300)[1], draw_recording(Draws(np.arange(300), "test", 0), plans(300)[0].kind, TASK, 3)
    assert np.allclose(3 * slow.times, fast.times)
    assert math.isclose(between.frame_shape[1], 32)
    assert LAYERS == 5
