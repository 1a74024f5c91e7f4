"""Push and load, against a small server that speaks the Hub's requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from safetensors.torch import load_file

import nextframe
from hub_stand_in import StandIn, stand_in_for
from nextframe.checkpoint.hub import HubModel, parse_hub_name
from nextframe.cli import main
from nextframe.core.errors import BadInputError, UserError
from nextframe.publish import push, write_shared
from nextframe.publish.card import told
from nextframe.publish.to_hub import upload
from nextframe.recipes import load_recipe
from nextframe.training import override
from nextframe.training import train as train_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps: the smallest that has all that a card tells."""
    recipe = override(
        load_recipe("keras-convlstm"),
        {
            "model.hidden": [4], "model.kernels": [3], "model.norm": "none", "data.context": 3, "data.horizon": 2,
            "data.size": (32, 32), "training.steps": 2, "training.val_clips": 4, "data.options.test_clips": 4,
            "training.precision": "32",
        },
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "mine"
    train_run(recipe, folder, show=False)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    with stand_in_for(monkeypatch, tmp_path / "cache") as started:
        yield started


# what a fresh process needs to compute with the same kernels, so to the same bit
KERNELS = ("OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
FRESH = """
import sys, torch, nextframe
given = torch.rand(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
torch.save([nextframe.load(name).predict(given, 4) for name in sys.argv[2:]], sys.argv[1])
"""


def test_a_pushed_model_predicts_the_same_in_a_fresh_process(hub: StandIn, run: Path, tmp_path: Path) -> None:
    assert push(run, "user/mine") == f"{hub.address}/user/mine"
    kernels = {name: os.environ[name] for name in KERNELS if name in os.environ}
    home = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "PATH": "", **kernels}
    names = ("user/mine", f"{hub.address}/user/mine")
    subprocess.run([sys.executable, "-c", FRESH, tmp_path / "out.pt", *names], check=True, env=home)
    given = torch.rand(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    expected = nextframe.load(run).predict(given, 4)
    for found in torch.load(tmp_path / "out.pt", weights_only=True):
        assert torch.equal(found, expected)
    files = hub.find("user/mine", "main")[1]
    assert {"README.md", "config.json", "model.safetensors", "recipe.yaml", "results.json"} <= set(files)
    fetched = {path.rsplit("/", 1)[1] for method, path in hub.asked if "/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors"}, "nothing else is fetched"


def test_revisions_are_kept_apart(hub: StandIn, run: Path, tmp_path: Path) -> None:
    push(run, "user/mine", private=True)
    first = hub.repos["user/mine"]["branches"]["main"]
    assert push(run, "user/mine@next", clips=2).endswith("/user/mine/tree/next")
    hub.add("user/mine", {"config.json": b"{}"})
    assert hub.repos["user/mine"]["private"]
    with pytest.raises(BadInputError, match="no field 'format'"):
        nextframe.load("user/mine")
    for spec in (f"user/mine@{first}", f"{hub.address}/user/mine/tree/next", "user/mine@next"):
        assert nextframe.load(spec).trained.horizon == 2
    assert nextframe.load("user/mine", revision=first).trained.horizon == 2
    monkey = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True  # what was fetched before is there without a network too
    try:
        assert nextframe.load(f"user/mine@{first}").trained.horizon == 2
    finally:
        constants.HF_HUB_OFFLINE = monkey


def test_what_is_not_there_is_one_line(hub: StandIn, run: Path) -> None:
    hub.add("user/other", {"README.md": b"a poem"})
    for spec, line in (
        ("user/none", "neither a folder here nor a model on the Hub"),
        ("user/other", r"is on the Hub, but has no config\.json"),
        ("user/other@v9", "the Hub has no revision 'v9'"),
    ):
        with pytest.raises(BadInputError, match=line) as caught:
            nextframe.load(spec)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is not on the Hub"):
        nextframe.load(run, revision="v1")


def test_a_push_without_leave_is_one_line(hub: StandIn, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(UserError, match="permission denied by the Hub"):
        push(run, "user/mine", clips=2)
    with pytest.raises(UserError, match="write user/name"):
        push(run, "mine")


@pytest.fixture(params=["nobody listens", "no such host", "offline"])
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Hub that does not answer; returns its address."""
    address = "http://nowhere.invalid" if request.param == "no such host" else "http://127.0.0.1:9"
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", request.param == "offline")
    return address


def test_a_push_without_a_network_is_one_line_before_anything_is_measured(
    no_network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nextframe.publish.to_hub.write_shared", lambda *_, **__: pytest.fail("it was measured"))
    with pytest.raises(SystemExit) as done:
        main(["push", str(tmp_path), "user/mine"])
    err = capsys.readouterr().err
    assert done.value.code == 2
    assert err.startswith(f"nextframe: {no_network} cannot be reached (")
    assert "check the network" in err
    assert err.count("\n") == 1


def test_a_network_that_goes_while_files_are_sent_is_one_line(no_network: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        upload(tmp_path, "user/mine", None, private=False)


def test_a_repository_cannot_run_anything(hub: StandIn, run: Path) -> None:
    """What a hostile repository might add is neither fetched nor run; a pickle in the weights' place is refused."""
    push(run, "user/mine", clips=2)
    hub.add(
        "user/mine", {"__init__.py": b"raise SystemExit", "model.py": b"raise SystemExit", "sitecustomize.py": b"x"}
    )
    assert nextframe.load("user/mine").trained.horizon == 2
    hub.add("user/mine", {"model.safetensors": b"\x80\x04\x95cos\nsystem\n"})
    with pytest.raises(BadInputError, match="is damaged"):
        nextframe.load("user/mine")


def test_names_of_the_hub() -> None:
    for spec, expected in {
        "user/name": HubModel("user/name"),
        "user/name@v1": HubModel("user/name", "v1"),
        "https://huggingface.co/user/name": HubModel("user/name"),
        "https://huggingface.co/user/name/tree/refs%2Fpr%2F1": HubModel("user/name", "refs/pr/1"),
        "hf://user/name@main": HubModel("user/name", "main"),
        "runs/x/model": None,
        "./runs": None,
        "/runs/x": None,
        "../x": None,
        "user/..": None,
        "https://example.org/user/name": None,
        "flow": None,
    }.items():
        assert parse_hub_name(spec) == expected, spec


def test_the_card_says_what_was_measured(run: Path, tmp_path: Path) -> None:
    folder = write_shared(run, tmp_path / "shared", "user/mine", licence="cc-by-4.0")
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    rows = json.loads((folder / "results.json").read_text())["rows"]
    mse = next(row["mean"] for row in rows if (row["model"], row["metric"]) == ("convlstm-keras", "mse"))
    metrics = front["model-index"][0]["results"][0]["metrics"]
    assert (front["license"], front["library_name"]) == ("cc-by-4.0", "nextframe")
    assert next(metric["value"] for metric in metrics if metric["type"] == "mse") == mse
    assert "From 3 context frames of grey video of 32 x 32 pixels, it predicts the 2 that follow" in card
    for name in ("convlstm-keras", "copy-last", "flow", "linear", "zero"):
        assert f"| {'**convlstm-keras**' if name == 'convlstm-keras' else name} | " in card
    assert "done: 2 steps of 5 clips" in card
    code = card.split("```python\n")[1].split("```")[0].splitlines()
    assert len(code) == 3, "three lines to use it"
    assert (folder / "prediction-1.gif").read_bytes().startswith(b"GIF89a")
    for end in ("best", "worst"):
        assert f"{end.title()} clip of 4: " in card
        assert f"({end}.gif)" in card
        assert (folder / f"{end}.gif").read_bytes().startswith(b"GIF89a")
    assert "4 clips from 4 sources" in card
    assert "too few sources to tell (4, at least 5 are needed)" in card
    weights = load_file(folder / "model.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in nextframe.load(run).state_dict().items())
    with pytest.raises(BadInputError, match="is not empty"):
        write_shared(run, folder, "user/mine")
    with pytest.raises(BadInputError, match=r"no recipe\.yaml"):
        write_shared(run / "model", tmp_path / "x", "user/mine")


def test_places_of_this_machine_are_not_told() -> None:
    assert told("moving-digits") == "moving-digits"
    assert told("/home/me/secret/films,../more/gifs") == "films, gifs"
