"""Rows of the benchmark: what they say, that work that is done stays, and that one cheated figure is found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import nextframe
from nextframe.benchmark import (
    TASKS,
    BenchmarkTask,
    Share,
    as_markdown,
    benchmark,
    default_names,
    read_row,
    take_share,
    verify,
)
from nextframe.benchmark.entries import budget_of, check_names, make_entry
from nextframe.benchmark.run import multiply_accumulates
from nextframe.checkpoint import create_model, load_model, save_model, shipped_for_video
from nextframe.cli import app
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.kernels import Choices, using
from nextframe.data import DataConfig, open_data
from nextframe.models import CITED
from nextframe.models.contract import TrainedTask
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_recipe, train

pytestmark = pytest.mark.usefixtures("quick_speed")

STEPS = {"steps": 3}
TINY = BenchmarkTask(
    name="tiny",
    about="Frame 3 from 2.",
    data=DataConfig(name="", context=2, horizon=1, color="rgb", options={"val_share": 0.2, "test_share": 0.5}),
    wants="arrays",
    metrics=("perceptual-distance", "perceptual-distance-moving", "mse"),
    training=TrainingConfig(precision="32", steps=3, batch=2, val_clips=2, checkpoint_every=1),
    recipes=("catz-conv2d",),
)


@pytest.fixture(autouse=True)
def _tiny_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS._entries, "tiny", TINY)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten films of 8 frames, in each a bright square that moves a pixel a frame."""
    folder, random = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    for film in range(10):
        frames = np.full((8, 16, 20, 3), random.integers(0, 100), np.uint8)
        for time in range(8):
            frames[time, 4:9, 2 + time : 8 + time] = random.integers(150, 255, 3)
        np.save(folder / f"{film}.npy", frames)
    return folder


@pytest.fixture(scope="module")
def made(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rows of a baseline and of a trained model."""
    folder = tmp_path_factory.mktemp("rows")
    for share in (Share(0, 2), Share(1, 2)):
        rows = benchmark(
            TINY, folder, data=str(films), models=["copy-last", "conv2d"], budget=STEPS, share=share, show=False
        )
        assert len(rows) == 1, "two processes share two rows"
    return folder


def test_a_row_says_how_it_was_made(made: Path, films: Path) -> None:
    row = read_row(made / "conv2d.json")
    assert (row.kind, row.model, row.parameters) == ("trained", "conv2d", 3 * 6 * 9 + 3)
    assert row.macs == 3 * 6 * 9 * 16 * 20
    assert row.training is not None
    assert (row.training.steps, row.training.clips_seen, row.training.budget) == (3, 6, {"steps": 3.0})
    clips = open_data(TINY.data_at(str(films)))
    assert row.training.clips == clips.count("train")
    assert (row.data.clips, row.data.split) == (clips.count("test"), "test"), "the whole split"
    assert row.data.sources == len({clips.source("test", i) for i in range(row.data.clips)}) >= 2
    assert [figure.metric for figure in row.figures] == list(TINY.metrics)
    assert all(figure.ci95 is not None and figure.n == row.data.sources for figure in row.figures)
    assert {"command", "commit", "seed", "machine", "date", "seconds"} <= set(row.run)
    assert (made / row.model_folder / "config.json").is_file()
    assert (made / row.strip).read_bytes().startswith(b"\x89PNG")


def test_a_row_holds_the_metric_of_the_definition(made: Path, films: Path) -> None:
    """Copying the last frame, by hand: mean over the clips of each source, then over sources."""
    clips = open_data(TINY.data_at(str(films)))
    count = clips.count("test")
    whole = clips.read("test", np.arange(count)).to("cpu")
    errors = (whole.target - whole.context[:, -1:]).square().mean((1, 2, 3, 4))
    sources = [clips.source("test", i) for i in range(count)]
    per_source = [errors[[name == one for name in sources]].mean().item() for one in set(sources)]
    figure = read_row(made / "copy-last.json").figure("mse")
    assert figure is not None
    assert figure.mean == pytest.approx(np.mean(per_source), rel=1e-5)


def test_what_is_done_is_not_done_again(made: Path, films: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    benchmark(TINY, made, data=str(films), models=["copy-last", "conv2d"], budget=STEPS, show=False)
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before
    with pytest.raises(UserError, match=r"conv2d.json: was made with another budget"):
        benchmark(TINY, made, data=str(films), models=["conv2d"], budget={"steps": 4}, show=False)
    changed = TINY.model_copy(update={"training": TINY.training.model_copy(update={"balance": "sources"})})
    with pytest.raises(UserError, match=r"conv2d.json: was made with another recipe"):
        benchmark(changed, made, data=str(films), models=["conv2d"], budget=STEPS, show=False)
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((30, 16, 20, 3), np.uint8))
    with pytest.raises(UserError, match=r"copy-last.json: was made with another data"):
        benchmark(TINY, made, data=str(other), models=["copy-last"], budget=STEPS, show=False)


def test_a_killed_row_goes_on_to_the_same_figures(
    made: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nextframe.training.trainer import Trainer

    step = Trainer._train_step

    def killed(self: Trainer, *args: object) -> None:
        if self.step == 2:
            raise MemoryError("killed")
        step(self, *args)  # type: ignore[arg-type]

    go = {"data": str(films), "models": ["conv2d"], "budget": STEPS, "show": False}
    monkeypatch.setattr(Trainer, "_train_step", killed)
    with pytest.raises(MemoryError):
        benchmark(TINY, tmp_path, **go)
    assert not (tmp_path / "conv2d.json").exists()
    with pytest.raises(UserError, match="was begun with another budget"):
        benchmark(TINY, tmp_path, **{**go, "budget": {"steps": 9}})
    monkeypatch.setattr(Trainer, "_train_step", step)
    benchmark(TINY, tmp_path, **go)
    assert read_row(tmp_path / "conv2d.json").figures == read_row(made / "conv2d.json").figures


def test_no_time_to_train_measures_models_as_they_are(made: Path, films: Path, tmp_path: Path) -> None:
    go = {"data": str(films), "budget": {"minutes": 0.0}, "show": False}
    paths = benchmark(TINY, tmp_path, models=["copy-last", str(made / "conv2d")], **go)
    row, trained = read_row(paths[1]), read_row(made / "conv2d.json")
    assert (row.entry, row.kind, row.training) == ("conv2d", "trained", None)
    assert row.figures == trained.figures
    assert "| trained before, not on this task |" in as_markdown(paths)
    assert verify(paths[1]).entry == "conv2d"
    assert benchmark(TINY, tmp_path, models=["copy-last", str(made / "conv2d")], **go) == paths, "what is done stays"
    with pytest.raises(UserError, match="'conv2d' has to be trained first"):
        benchmark(TINY, tmp_path / "more", models=["conv2d"], **go)
    names = default_names(TINY, open_data(TINY.data_at(str(films))), training=False)
    assert "flow" in names
    assert "conv2d" not in names
    assert "motion" in shipped_for_video(TINY.data.task)
    assert set(shipped_for_video(TINY.data.task)) <= set(names)


def test_a_row_says_of_which_sources_the_model_has_seen_material(made: Path, films: Path, tmp_path: Path) -> None:
    """A model says what it was trained on; training that starts from its weights hands that on."""
    held_out = sorted(read_row(made / "copy-last.json").sources)
    model = load_model(made / "conv2d")
    assert model.trained is not None
    known = TrainedTask.parse(model.trained.model_dump() | {"sources": [held_out[0], "moon"]})
    save_model(model, tmp_path / "seen", task=known)
    (path,) = benchmark(
        TINY, tmp_path, data=str(films), models=[str(tmp_path / "seen")], budget={"minutes": 0}, show=False
    )
    assert read_row(path).seen == [held_out[0]]
    assert read_row(made / "conv2d.json").seen == []
    recipe = read_recipe(made / "conv2d")
    further = override(recipe, {"training.start_from": str(tmp_path / "seen"), "training.steps": 1})
    run = train(further, tmp_path / "further", show=False)
    assert load_model(run.folder).trained.sources == known.sources  # type: ignore[union-attr]


def test_an_honest_row_is_accepted(made: Path) -> None:
    for name in ("copy-last", "conv2d"):
        assert verify(made / f"{name}.json").entry == name


def test_a_row_from_before_a_setting_came_is_accepted(made: Path) -> None:
    """Its model was made without the field, and is read with the default too."""
    row = json.loads((made / "conv2d.json").read_text())
    assert row["config"].pop("kernel") == 3
    older = made / "older.json"
    older.write_text(json.dumps(row))
    try:
        assert verify(older).config == row["config"]
    finally:
        older.unlink()


def better_mean(row: dict) -> None:
    row["figures"][0]["mean"] *= 0.999


def better_step(row: dict) -> None:
    row["figures"][1]["per_step"][0] *= 0.99


def narrower(row: dict) -> None:
    row["figures"][2]["ci95"][0] += 0.001


def turned(row: dict) -> None:
    row["figures"][2]["better"] = "higher"


def smaller(row: dict) -> None:
    row["parameters"] -= 1


def cheaper(row: dict) -> None:
    row["macs"] //= 2


def fewer(row: dict) -> None:
    row["data"]["clips"] -= 1


def other_task(row: dict) -> None:
    row["task"]["definition"]["metrics"].pop()


def dropped(row: dict) -> None:
    row["figures"].pop(0)


@pytest.mark.parametrize(
    ("cheat", "says"),
    [
        (better_mean, "perceptual-distance: mean is .*measured again it is"),
        (better_step, "perceptual-distance-moving: step 1 is"),
        (narrower, "mse: low end of the interval is"),
        (turned, "mse: better is 'higher', here it is 'lower'"),
        (smaller, "parameters is 164, here it is 165"),
        (cheaper, "macs is"),
        (fewer, "data.clips is"),
        (other_task, "another definition of task tiny"),
        (dropped, "the list of metrics is"),
    ],
)
def test_a_changed_figure_is_refused_in_one_line(cheat, says: str, made: Path) -> None:
    row = json.loads((made / "conv2d.json").read_text())
    cheat(row)
    changed = made / "changed.json"
    changed.write_text(json.dumps(row))
    try:
        with pytest.raises(UserError, match=says) as caught:
            verify(changed)
        assert "\n" not in str(caught.value)
    finally:
        changed.unlink()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a row of a leaderboard"),
        ('{"figures": []}', "field 'entry'"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_row(text: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_row(path)


def test_a_row_cannot_lead_out_of_its_folder(made: Path, tmp_path: Path) -> None:
    row = json.loads((made / "copy-last.json").read_text())
    for part in ("../copy-last", "/etc"):
        (tmp_path / "row.json").write_text(json.dumps({**row, "model_folder": part}))
        with pytest.raises(BadInputError, match="leads out of the row's folder"):
            read_row(tmp_path / "row.json")


def test_who_takes_part(films: Path) -> None:
    clips = open_data(TINY.data_at(str(films)))
    names = default_names(TINY, clips)
    assert names[0] == "copy-last"
    assert {"catz-conv2d", "catz-conv2d-fixed"} <= set(names)
    assert "conv2d" not in names, "its recipes stand for it"
    assert "catz-baseline" in names, "no recipe of this task stands for it"
    assert not set(names) & CITED.keys(), "hours of training that nobody has asked for"
    assert make_entry(TINY, TINY.data_at(str(films)), "simvp", {"minutes": 2.0}, "cpu").recipe.model.name == "simvp"
    entry = make_entry(TINY, TINY.data_at(str(films)), "catz-conv2d", {"minutes": 2.0}, "cpu")
    training = entry.recipe.training
    assert (training.minutes, training.steps, training.batch, training.checkpoint_every) == (2.0, None, 32, 1)
    with pytest.raises(UserError, match="unknown model or recipe 'cov2d'; did you mean 'conv2d'"):
        benchmark(TINY, films / "x", data=str(films), models=["cov2d"], budget=STEPS)


def test_tasks_are_what_they_say() -> None:
    gifs = TASKS.get("gif-next")
    assert (gifs.data.context, gifs.data.horizon, gifs.data.size) == (5, 1, (96, 96))
    assert gifs.metrics[0] == "perceptual-distance"
    assert TASKS.get("interpolate").data.task.given == (0, 2)
    assert len({TASKS.get(name).hash for name in TASKS}) == len(TASKS.names())
    moved, longer = gifs.data_at("elsewhere"), gifs.model_copy(update={"training": TrainingConfig(steps=9)})
    assert gifs.model_copy(update={"data": moved}).hash == gifs.hash == longer.hash
    assert gifs.model_copy(update={"metrics": ("mse",)}).hash != gifs.hash
    with pytest.raises(UserError, match="gif-next needs --data: folders of GIFs"):
        gifs.data_at(None)
    with pytest.raises(UserError, match="has its own data"):
        TASKS.get("moving-digits").data_at("somewhere")
    assert budget_of(gifs) == {"minutes": 30}
    with pytest.raises(UserError, match="not both"):
        budget_of(gifs, 1.0, 1)


def test_macs_by_hand(films: Path) -> None:
    clips = open_data(TINY.data_at(str(films)))
    model = create_model("catz-baseline", context=2, channels=3)
    whole, half = 16 * 20, 8 * 10
    layers = 6 * 32 * 9 * whole + 32 * 32 * 9 * half + 32 * 3 * 9 * whole
    assert multiply_accumulates(model, clips) == layers
    assert multiply_accumulates(create_model("copy-last"), clips) == 0


def test_macs_are_the_models_and_not_those_of_a_race_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = nextframe.clips(torch.rand(4, 5, 1, 64, 64), context=4, horizon=1)
    fixed = multiply_accumulates(create_model("convlstm", hidden=(64,), kernels=(5,)), clips)
    monkeypatch.delenv("NEXTFRAME_KERNELS")
    with using(Choices(keeps=False)):
        assert multiply_accumulates(create_model("convlstm", hidden=(64,), kernels=(5,)), clips) == fixed


@pytest.mark.parametrize(
    ("names", "share"),
    [
        ({"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "1", "GROUP_RANK": "0"}, Share(1, 3)),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"}, Share(2, 4)),
        ({}, Share(0, 1)),
    ],
)
def test_processes_share_the_rows(names: dict[str, str], share: Share) -> None:
    environment = {**names, "CUDA_VISIBLE_DEVICES": "4,5", "OTHER": "kept"}
    assert take_share(environment) == share
    local = int(names.get("LOCAL_RANK", names.get("SLURM_LOCALID", "0")))
    visible = "4,5" if not names else ["4", "5"][local]
    assert environment == {"CUDA_VISIBLE_DEVICES": visible, "OTHER": "kept"}
    taken = [[index for index in range(10) if Share(rank, 3).takes(index)] for rank in range(3)]
    assert sorted(index for part in taken for index in part) == list(range(10))
    assert not torch.distributed.is_initialized()
    assert "RANK" not in os.environ


def test_a_process_says_which_rows_are_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """In a batch script without srun one process would do a quarter of the rows and nobody the others."""
    with caplog.at_level("INFO", logger="nextframe"):
        take_share({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "CUDA_VISIBLE_DEVICES": ""})
        take_share({"RANK": "0", "WORLD_SIZE": "1"})
    assert [record.getMessage() for record in caplog.records] == [
        "process 1 of 4 takes rows 1, 5, 9, ...; the others are for the other processes "
        "(SLURM_PROCID and SLURM_NTASKS say so; start them with srun, or unset both)"
    ]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK is 'x' in the environment: it must be an integer; unset it"),
        ({"RANK": "0", "WORLD_SIZE": ""}, "WORLD_SIZE is '' in the environment"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_LOCALID": "a"}, "SLURM_LOCALID is 'a' in the environment"),
        (
            {"RANK": "2", "WORLD_SIZE": "2"},
            "RANK is 2 and WORLD_SIZE 2 in the environment: processes are numbered from 0",
        ),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK is -1 and WORLD_SIZE 2"),
    ],
)
def test_numbers_of_processes_that_are_none_are_one_line(names: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        take_share({**names, "CUDA_VISIBLE_DEVICES": ""})


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two run folders with a recipe.yaml each, and a recipe by another name; the working folder holds them."""
    text = Recipe(model=ModelSection(name="conv2d"), training=TrainingConfig(steps=3)).to_yaml()
    for name in ("runs/a/recipe.yaml", "runs/b/recipe.yaml", "other/a/recipe.yaml", "mine.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_entry_is_called_so_that_its_row_lies_in_the_output(recipes: Path) -> None:
    def name(spec: object) -> str:
        return make_entry(TINY, TINY.data_at("films"), str(spec), STEPS, "cpu").name

    assert name("runs/a/recipe.yaml") == "a"
    assert name(recipes / "runs" / "b" / "recipe.yaml") == "b"
    assert name(recipes / "runs" / "b") == "b"
    assert name("runs/../runs/a/") == "a"
    assert name("mine.yaml") == "mine"
    assert [name(spec) for spec in ("conv2d", "catz-conv2d")] == ["conv2d", "catz-conv2d"]


def test_two_entries_of_one_name_are_refused_before_any_work(recipes: Path, films: Path) -> None:
    check_names(["runs/a/recipe.yaml", "runs/b", "conv2d", "conv2d"])
    with pytest.raises(UserError, match=r"'runs/a' and 'other/a/recipe\.yaml' are both called 'a'; rename one"):
        check_names(["runs/a", "conv2d", "other/a/recipe.yaml"])
    words = ["benchmark", "tiny", "--data", str(films), "--models", "runs/a,other/a", "--steps", "3", "-o", "out", "-q"]
    done = CliRunner().invoke(app, words)
    assert "'runs/a' and 'other/a' are both called 'a'" in str(done.exception)
    assert not (recipes / "out").exists()


def test_a_run_folder_trains_into_the_output_and_nothing_else_is_touched(recipes: Path, films: Path) -> None:
    before = sorted((recipes / "runs").rglob("*"))
    run = str(recipes / "runs" / "a")
    assert benchmark(TINY, Path("out"), data=str(films), models=[run], budget=STEPS, show=False) == [Path("out/a.json")]
    assert sorted((recipes / "runs").rglob("*")) == before
