"""Dotted settings and YAML from anybody: what words mean, where values land, how much is read and repeated."""

import subprocess
import sys
import time

import pytest
from pydantic import Field

from nextframe.cli import main
from nextframe.core.config import Config
from nextframe.core.errors import BadInputError, NextframeError, UnknownNameError, UserError
from nextframe.core.settings import parse_settings, read_yaml, set_dotted
from nextframe.training import TrainingConfig

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("1e-3", 0.001),
        ("[1e-3, 2]", [0.001, 2]),
        ("{early: 1e-2}", {"early": 0.01}),
        ("true", True),
        ("null", None),
        ("64x64", "64x64"),
        ("inf", "inf"),  # a name, as any other
        ("", None),
        ("a=b", "a=b"),
        ("2026-01-05", "2026-01-05"),  # a folder, a name: nothing here is a date
        ("2026-13-45", "2026-13-45"),
        ("2026-01-05 12:30:00", "2026-01-05 12:30:00"),
    ],
)
def test_values_are_yaml_with_numbers_as_people_write_them(text, value):
    found = parse_settings([f"data.name={text}"])
    assert found == {"data.name": value}
    assert type(found["data.name"]) is type(value)


@pytest.mark.parametrize(("word", "message"), [("data.x", "SECTION.FIELD=VALUE"), ("data.x=[1", "cannot be read")])
def test_a_word_that_cannot_be_read_is_one_line(word, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_settings([word])
    assert "\n" not in str(caught.value)


# --- YAML that is meant to harm ---------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="other systems set no limit of memory")
def test_a_recipe_of_aliases_in_aliases_costs_nothing(tmp_path):
    """306 bytes that stand for 9**9 values: whoever writes them out needs tens of GiB."""
    import resource

    recipe = tmp_path / "bomb.yaml"
    recipe.write_text(BOMB)
    done = subprocess.run(
        [sys.executable, "-m", "nextframe", "train", str(recipe)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (6_000_000_000, 6_000_000_000)),
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    why = "is not a readable recipe: it has over 10,000 values, aliases written out: the limit"
    assert done.stderr == f"nextframe: {recipe}: {why}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "20 levels"),
        ("{a: " * 21 + "1" + "}" * 21, "20 levels"),
        ("- " * 5000 + "1", "20 levels"),
        ("x: " + "y" * 200_000, "200,000 characters"),
        ("[" + "1," * 10_001 + "]", "10,000 values"),
        ("a: &a [*a]", r"'\*a' contains itself"),
        ("a: &a {b: [*a]}", r"'\*a' contains itself"),
        ("a: *b", "undefined alias"),
        ("!!timestamp 2026-13-45", "month must be"),
        ("9" * 5000, "integer string conversion"),
    ],
    ids=lambda text: text[:16],
)
def test_yaml_is_limited_in_size_depth_and_aliases(text, message):
    started = time.monotonic()
    with pytest.raises(UserError, match=message) as caught:
        read_yaml(text)
    assert time.monotonic() - started < 5
    assert len(str(caught.value)) < 300


def test_yaml_within_the_limits_is_read_with_its_aliases():
    assert read_yaml("a: &a [1, 2]\nb: {c: *a, d: [*a, *a]}") == {"a": [1, 2], "b": {"c": [1, 2], "d": [[1, 2]] * 2}}
    deep = "[" * 20 + "]" * 20
    assert str(read_yaml(deep)) == deep
    assert len(read_yaml("[" + "1," * 9999 + "]")) == 9999


def test_a_dotted_name_may_not_nest_for_ever():
    with pytest.raises(UserError, match="20 levels"):
        set_dotted({}, "a." * 5000 + "b", 1)


# --- what messages repeat ---------------------------------------------------------------------------------------


class Sized(Config):
    size: int = 1
    names: dict[str, int] = Field(default_factory=dict)


def _raise(error: Exception) -> None:
    raise error


LONG = "x" * 50_000
MISTAKES = {
    "a word": lambda: Sized.parse({"size": LONG}),
    "a list": lambda: Sized.parse({"size": [[[LONG] * 9] * 9] * 9}),
    "a mapping": lambda: Sized.parse({"size": {LONG: LONG}}),
    "a field": lambda: Sized.parse({LONG: 1}),
    "a key": lambda: Sized.parse({"names": {LONG: "no"}}),
    "a number": lambda: Sized.parse({"size": [16**5000]}),
    "no equals sign": lambda: parse_settings([LONG]),
    "no YAML": lambda: parse_settings([f"a.b=[{LONG}"]),
    "a dotted name": lambda: set_dotted({"a": 1}, f"a.{LONG}", 1),
    "a registered name": lambda: TrainingConfig(steps=1, optimizer=LONG),
    "an unknown name": lambda: _raise(UnknownNameError("model", LONG, ["compact"])),
    "in a file": lambda: _raise(BadInputError("file", f"'{LONG}' is not a layer", "write one")),
    "a path": lambda: _raise(BadInputError(LONG, "is not there")),
    "two": lambda: _raise(NextframeError(f"it holds '{LONG}' and '{LONG}'")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_input_is_cut_in_a_message(mistake):
    with pytest.raises(NextframeError) as caught:
        MISTAKES[mistake]()
    assert len(str(caught.value)) < 700
    assert "..." in str(caught.value) or "a huge list" in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        [LONG],
        ["data", LONG],
        ["data", "x" * 300],
        ["data", "/".join(["d" * 200] * 30)],
        ["train", LONG],
        ["train", "compact", f"--{LONG}"],
        ["train", "compact", "--data", LONG],
        ["predict", "a.gif", "--size", LONG],
        ["predict", "a.gif", "--model", f"a/{LONG}"],
        ["predict", "a.gif", "--set", "predict.tile=" + "'" * 5000],
        ["evaluate", LONG],
        ["recipes", LONG],
    ],
    ids=lambda words: f"{words[0][:9]} {words[-1][:14]}",
)
def test_a_word_of_the_command_line_is_cut_in_a_message(words, capsys):
    with pytest.raises(SystemExit) as done:
        main(words)
    said = capsys.readouterr().err
    assert done.value.code == 2
    assert said.count("\n") == 1
    assert len(said) < 900
    assert "bug" not in said


def test_a_message_without_long_inputs_stays_as_it_is():
    line = "the video's " + "frames and " * 50 + "the model's size differ: 'a' and 'b'"
    assert str(UserError(line)) == line


def test_a_number_is_finite():
    for name in ("minutes", "lr", "weight_decay", "grad_clip", "warmup", "ema"):
        with pytest.raises(UserError, match=f"field '{name}'.*finite"):
            TrainingConfig.parse({"steps": 1, name: float("inf")})


def test_a_dotted_name_reaches_a_field_inside_a_field():
    values = {"options": {"seed": 1, "count": 2}}
    set_dotted(values, "options.seed", 3)
    set_dotted(values, "horizon", 4)
    assert values == {"options": {"seed": 3, "count": 2}, "horizon": 4}
