"""Options of the verbs: few of them, their old spellings, the settings that hold the rest, and the examples in help."""

import logging
import re

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from nextframe.cli import app, main
from nextframe.cli.fields import describe, type_words
from nextframe.cli.old import OLD
from nextframe.cli.sections import SECTIONS, load_config, read_settings, section
from nextframe.core.config import Config
from nextframe.models import MODELS
from nextframe.recipes import RECIPES, about

ROOT = typer.main.get_command(app)
COMMON = {"--device", "--seed", "--plugin", "--quiet"}
MOST = 12
# What each verb took in version 0.1, before its settings: all of it still works.
BEFORE = {
    "quickstart": "--output --digits --minutes --seed --json --device --quiet",
    "models": "--markdown --plugin",
    "data": "--context --horizon --size --stride --digits --root --check --contact-sheet --set --json --quiet",
    "prepare": "--output --clips --held-out --size --context --horizon --stride --threshold --keep --tries --color "
    "--as --max-flow --across-cuts --val-share --test-share --shard --picture --workers --memory --seed --json --quiet",
    "train": "--data --output --steps --minutes --batch --lr --context --horizon --size --stride --as --digits --root "
    "--seed --log-every --val-every --checkpoint-every --precision --workers --device --devices --stage-from --resume "
    "--report --no-report --set --plugin --json --quiet",
    "evaluate": "--data --split --clips --context --horizon --size --stride --as --digits --root --batch --samples "
    "--temperature --metrics --compat --html --json --plugin --seed --device --quiet",
    "predict": "--model --frames --output --samples --compare --with-context --context --at --one-step --stride "
    "--size --tile --overlap --temperature --plugin --seed --device --quiet",
    "interpolate": "--output --factor --model --plugin --device --quiet",
    "latent": "--output --data --split --context --horizon --size --stride --digits --plugin --seed --quiet",
    "transfer": "--data --root --per-class --draws --methods --window --window-stride --size --stride --steps --batch "
    "--lr --dropout --precision --split --with --output --json --set --plugin --seed --device --quiet",
    "benchmark": "--models --data --minutes --steps --output --plugin --device --quiet",
    "leaderboard": "--output --markdown --verify --data --plugin --device --quiet",
    "push": "--revision --private --license --clips --output --plugin --device --quiet",
    "export": "--output --size --plugin --quiet",
    "app": "--model --rows --host --port --browser --upload-mb --pixels --clip-frames --decode-seconds "
    "--predict-seconds --horizon --side --queue --workers --keep-minutes --temporary-mb --plugin --quiet",
}
NEEDED = {
    "data": ["films"],
    "prepare": ["films", "-o", "clips"],
    "extract-features": ["films", "-o", "features"],
    "train": ["compact", "--steps", "5"],
    "evaluate": ["flow"],
    "predict": ["a.gif"],
    "latent": ["run"],
    "transfer": ["run"],
    "app": [],
}
# verb, an old option and its value; the setting that it is now, and its value there
RENEWED = [
    ("data", "--stride 3", "data.stride", 3),
    ("data", "--digits mnist", "data.options", {"digits": "mnist"}),
    ("latent", "--stride 3", "data.stride", 3),
    ("latent", "--digits ../idx/a-b.gz", "data.options", {"digits": "../idx/a-b.gz"}),
    ("train", "--stride 2", "data.stride", 2),
    ("train", "--as flow", "data.kind", "flow"),
    ("train", "--digits fashion", "data.options", {"digits": "fashion"}),
    ("train", "--log-every 7", "training.log_every", 7),
    ("train", "--val-every=8", "training.val_every", 8),
    ("train", "--checkpoint-every 9", "training.checkpoint_every", 9),
    ("train", "--precision 32", "training.precision", "32"),
    ("train", "--workers 2", "training.workers", 2),
    (
        "train",
        "--stage-from vae=runs/a --stage-from cae=b",
        "training.stage_from",
        {"vae": "runs/a", "cae": "b"},
    ),
    ("train", "--devices 2", "run.devices", 2),
    ("train", "--report", "run.report", True),
    ("train", "--no-report", "run.report", False),
    ("train", "--json out/last.json", "run.json_file", "out/last.json"),
    ("evaluate", "--stride 4", "data.stride", 4),
    ("evaluate", "--as flow", "data.kind", "flow"),
    ("evaluate", "--digits mnist", "data.options", {"digits": "mnist"}),
    ("evaluate", "--batch 3", "evaluate.batch", 3),
    ("evaluate", "--compat openstl", "evaluate.compat", "openstl"),
    ("evaluate", "--temperature 0.5", "options.temperature", 0.5),
    ("predict", "--one-step", "predict.one_step", True),
    ("predict", "--with-context", "predict.with_context", True),
    ("predict", "--stride 2", "predict.stride", 2),
    ("predict", "--tile 64", "predict.tile", 64),
    ("predict", "--overlap 8", "predict.overlap", 8),
    ("predict", "--temperature 1", "options.temperature", 1.0),
    ("transfer", "--stride 2", "data.stride", 2),
    ("transfer", "--window 12", "transfer.window", 12),
    ("transfer", "--window-stride 3", "transfer.stride", 3),
    ("transfer", "--steps 11", "transfer.classifier.steps", 11),
    ("transfer", "--batch 5", "transfer.classifier.batch", 5),
    ("transfer", "--lr 1e-4", "transfer.classifier.lr", 1e-4),
    ("transfer", "--dropout 0.2", "transfer.classifier.dropout", 0.2),
    ("transfer", "--precision 32", "transfer.classifier.precision", "32"),
    ("prepare", "--stride 2", "prepare.stride", 2),
    ("prepare", "--keep 0.2", "prepare.keep", 0.2),
    ("prepare", "--tries 5", "prepare.tries", 5),
    ("prepare", "--color rgb", "prepare.color", "rgb"),
    ("prepare", "--as flow", "prepare.kind", "flow"),
    ("prepare", "--max-flow 4", "prepare.max_flow", 4.0),
    ("prepare", "--across-cuts", "prepare.across_cuts", True),
    ("prepare", "--val-share 0.2", "prepare.val_share", 0.2),
    ("prepare", "--test-share 0.3", "prepare.test_share", 0.3),
    ("prepare", "--shard 50", "prepare.shard", 50),
    ("prepare", "--workers 3", "run.workers", 3),
    ("prepare", "--memory 0.5", "run.memory", 0.5),
    ("extract-features", "--stride 2", "data.stride", 2),
    ("extract-features", "--val-share 0", "data.options", {"val_share": 0}),
    ("extract-features", "--test-share 0.4", "data.options", {"test_share": 0.4}),
    ("app", "--upload-mb 2", "limits.upload_mb", 2),
    ("app", "--pixels 100", "limits.pixels", 100),
    ("app", "--clip-frames 9", "limits.clip_frames", 9),
    ("app", "--decode-seconds 2.5", "limits.decode_seconds", 2.5),
    ("app", "--predict-seconds 3", "limits.predict_seconds", 3.0),
    ("app", "--horizon 6", "limits.horizon", 6),
    ("app", "--side 32", "limits.side", 32),
    ("app", "--queue 1", "limits.queue", 1),
    ("app", "--workers 2", "limits.workers", 2),
    ("app", "--keep-minutes 0.5", "limits.keep_minutes", 0.5),
    ("app", "--temporary-mb 10", "limits.temporary_mb", 10),
]


def options_of(verb, hidden):
    found = [param for param in ROOT.commands[verb].params if param.param_type_name == "option"]
    return {max(param.opts, key=len) for param in found if param.hidden == hidden}


def parsed(verb, words):
    """Return what the verb's function would get, without calling it."""
    group = ROOT.make_context("nextframe", [verb, *words])
    name, command, left = ROOT.resolve_command(group, [verb, *words])
    return name, command.make_context(name, left).params


@pytest.mark.parametrize("verb", ROOT.commands)
def test_a_verb_shows_few_options(verb):
    assert len(options_of(verb, hidden=False)) <= MOST
    assert options_of(verb, hidden=True) <= COMMON
    shown = re.findall(r"^  (?:-\w, )?(--[\w-]+)", CliRunner().invoke(app, [verb, "--help"]).output, re.MULTILINE)
    assert len(shown) == len(options_of(verb, hidden=False)) + 1  # --help itself


@pytest.mark.parametrize("verb", ["prepare", "predict"])
def test_help_says_the_default_of_every_option(verb):
    command, context = ROOT.commands[verb], ROOT.make_context("nextframe", [verb, "x"])
    shown = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    texts = {param.opts[-1]: param.get_help_record(context)[1] for param in shown}
    assert [name for name, text in texts.items() if "[default: " not in text and "[required]" not in text] == []
    if verb == "prepare":  # its options are None there: the config has the defaults
        config = load_config(SECTIONS["prepare"]["prepare"])()
        height, width = config.size
        known = {"--clips": config.clips, "--size": f"{height}x{width}", "--context": config.context}
        known |= {"--horizon": config.horizon, "--threshold": round(config.threshold)}
        assert {name: f"[default: ({value})]" in texts[name] for name, value in known.items()} == dict.fromkeys(
            known, True
        )
        assert config.count("val") == config.clips // 10


@pytest.mark.parametrize("verb", BEFORE)
def test_every_option_of_the_last_release_is_still_taken(verb):
    taken = options_of(verb, hidden=False) | options_of(verb, hidden=True) | set(OLD.get(verb, {}))
    assert set(BEFORE[verb].split()) <= taken


def test_every_old_spelling_is_tried_below():
    tried = {(verb, words.partition(" ")[0].partition("=")[0]) for verb, words, _, _ in RENEWED}
    assert tried == {(verb, option) for verb, options in OLD.items() for option in options}


@pytest.mark.parametrize(("verb", "words", "setting", "value"), RENEWED)
def test_an_old_spelling_sets_what_it_set_and_names_the_new_one(verb, words, setting, value, caplog):
    given = read_settings(verb, parsed(verb, [*NEEDED[verb], *words.split()])[1]["setting"])
    name, *path = setting.split(".")
    needed = {"steps": 5} if name == "training" else {}
    path_of = SECTIONS[verb][name] or "nextframe.models.latent_lstm:LatentLSTMOptions"
    config = load_config(path_of).parse(needed | section(given, name))
    found = config
    for part in path:
        found = getattr(found, part)
    assert (str(found) if setting == "run.json_file" else found) == value
    option = words.partition(" ")[0].partition("=")[0]
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.messages[0].startswith(f"{option} is now --set {setting}")
    new = [line.partition(" is now ")[2].split() for line in caplog.messages]
    caplog.clear()
    again = parsed(verb, [*NEEDED[verb], *(word for line in new for word in line)])[1]["setting"]
    assert read_settings(verb, again) == given
    assert not caplog.messages


def test_an_old_spelling_keeps_odd_characters_and_wants_its_value(capsys):
    given = parsed("train", ["compact", "--digits", "a: #b", "--", "--val-every"][:3])[1]["setting"]
    assert read_settings("train", given) == {"data.options.digits": "a: #b"}
    with pytest.raises(SystemExit) as stopped:
        main(["train", "compact", "--val-every"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "nextframe: Option '--val-every' requires an argument.\n"


@pytest.mark.parametrize("words", ["--percepts filters", "--percepts=filters"])
def test_features_are_a_verb_of_their_own(words, caplog):
    verb, values = parsed("prepare", ["films", *words.split(), "--classes", "-o", "out", "--stride", "2"])
    new = "films --backbone filters --classes -o out --set data.stride=2"
    assert (verb, values) == parsed("extract-features", new.split())
    assert caplog.messages[0] == "nextframe prepare --percepts is now nextframe extract-features --backbone"
    assert caplog.messages[1] == "--stride is now --set data.stride=2"


def examples():
    return [(verb, words) for verb, command in ROOT.commands.items() for words in command.examples()]


@pytest.mark.parametrize(("verb", "words"), examples())
def test_the_examples_in_help_can_be_typed(verb, words):
    name, values = parsed(words[0] if words else verb, words[1:])
    for key in read_settings(name, values.get("setting")):
        first, field, *_ = key.split(".")
        assert SECTIONS[name][first] == "" or field in load_config(SECTIONS[name][first]).model_fields


def test_every_verb_has_an_example_of_its_own():
    assert {verb for verb, words in examples() if words[:1] == [verb]} == set(ROOT.commands)


def test_a_setting_of_another_section_is_refused():
    done = CliRunner().invoke(app, ["predict", "a.gif", "--set", "training.lr=1"])
    line = "setting 'training.lr': write predict.FIELD=VALUE or options.FIELD=VALUE; "
    assert str(done.exception) == f"{line}'nextframe settings predict' lists them"
    done = CliRunner().invoke(app, ["predict", "a.gif", "--set", "predict.tiles=64"])
    assert "predict: unknown field 'tiles'; did you mean 'tile'?" in str(done.exception)


def listed(*words):
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.exception
    return [line.rstrip() for line in done.output.splitlines()]


def test_recipes_are_listed_with_what_they_are():
    lines = listed("recipes")
    assert [line.split()[0] for line in lines[1:]] == list(RECIPES)
    row = next(line for line in lines if line.startswith("keras-convlstm"))
    assert re.split(r"  +", row) == ["keras-convlstm", "convlstm-keras", "moving-digits", about("keras-convlstm")]
    assert all(about(name) for name in RECIPES)


VAL_EVERY = "steps between validations; null: 500, and at each tenth of a run that is given minutes"


def test_a_recipe_is_shown_before_it_runs():
    rows = {cells[0]: cells[1:] for cells in (re.split(r"  +", line) for line in listed("recipes", "keras-convlstm"))}
    assert rows["training.val_every"] == ["int | null (>= 1)", "null", "180", VAL_EVERY]
    assert rows["training.monitor"][:3] == ["val/mse | val/loss", "val/mse", "val/loss"]
    assert rows["training.log_every"][:3] == ["int (>= 1)", "50", "10"]
    assert rows["data.horizon"] == ["int (>= 1)", "10", "frames to predict"]  # the default: no fourth cell
    assert rows["model.gate"][:2] == ["sigmoid | hard_sigmoid", "sigmoid"]
    assert rows["data.options.count"][:2] == ["int (>= 1, <= 64)", "2"]


def test_settings_of_a_verb_are_listed():
    rows = {cells[0]: cells[1:] for cells in (re.split(r"  +", line) for line in listed("settings", "prepare"))}
    assert rows["prepare.shard"] == ["int (>= 1)", "1000", "clips in a file"]
    assert rows["prepare.color"] == ["grey | rgb | null", "null", "null: grey if all sources are"]
    assert rows["run.memory"][:2] == ["float (>= 0)", "2.0"]
    assert any(line.startswith("data.options.split_number") for line in listed("settings", "data", "--data", "ucf101"))
    done = CliRunner().invoke(app, ["settings", "pepare"])
    assert "did you mean 'prepare'" in str(done.exception)


@pytest.mark.parametrize("verb", SECTIONS)
def test_every_setting_has_a_meaning(verb):
    fields = [field for path in SECTIONS[verb].values() if path for field in describe(load_config(path))]
    assert [field.name for field in fields if not field.meaning] == []


@pytest.mark.parametrize("name", list(MODELS))
def test_every_field_of_a_model_has_a_meaning(name):
    model = MODELS.get(name)
    fields = [*describe(model.Config), *describe(model.Options)]
    assert [field.name for field in fields if not field.meaning] == []


class Inner(Config):
    depth: int = 3  # how deep


class Outer(Config):
    name: str = Field(description="what it is called")
    # a comment above
    sizes: tuple[int, int] | None = None
    inner: Inner = Inner(depth=5)
    plain: bool = False


class Other(Outer):
    name: str = "another default"
    sizes: tuple[int, int] | None = (1, 2)  # in a comment of its own


def test_fields_are_described_by_description_or_comment():
    found = describe(Outer, {"inner": {"depth": 4}, "plain": False}, "outer.")
    assert [(f.name, f.type, f.default, f.meaning, f.value) for f in found] == [
        ("outer.name", "text", "required", "what it is called", ""),
        ("outer.sizes", "[int, int] | null", "null", "a comment above", ""),
        ("outer.inner.depth", "int", "5", "how deep", "4"),
        ("outer.plain", "true | false", "false", "", ""),
    ]
    assert [f.meaning for f in describe(Other)] == ["what it is called", "in a comment of its own", "how deep", ""]
    assert type_words(dict[str, list[float]]) == "{text: list of float}"


def test_a_shell_completes_verbs_options_and_models(monkeypatch, capsys):
    def complete(line):
        monkeypatch.setenv("_NEXTFRAME_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        with pytest.raises(SystemExit):
            main([])
        return capsys.readouterr().out.split()

    assert complete("nextframe rec") == ["recipes"]
    assert complete("nextframe train --min") == ["--minutes"]
    assert complete("nextframe predict a.gif --model flow-") == ["flow-middle"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(shell, monkeypatch, capsys):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: shell)
    with pytest.raises(SystemExit) as done:
        main(["--show-completion"])
    assert done.value.code == 0
    script = capsys.readouterr().out
    assert f"_NEXTFRAME_COMPLETE=complete_{shell}" in script


def test_help_speaks_of_no_numbered_system():
    pages = [CliRunner().invoke(app, [*words, "--help"]).output for words in ([], *([verb] for verb in ROOT.commands))]
    pages += ["\n".join(listed("settings", verb)) for verb in SECTIONS]
    pages += ["\n".join(listed(*words)) for words in (["recipes"], ["models"], ["benchmark"])]
    assert not re.search(r"\bsystem \d", "\n".join(pages), re.IGNORECASE)
