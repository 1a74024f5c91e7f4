"""The mixture: its weights before training by hand, what its own candidates are for, and what each loss reaches."""

from __future__ import annotations

import math

import pytest
import torch

import nextframe
from nextframe.checkpoint import save_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import clip_noise
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import DataConfig
from nextframe.layers.augment import cropped
from nextframe.losses.perceptual import perceptual
from nextframe.models.mixture import Mixture, MixtureConfig
from nextframe.recipes.registry import RECIPES
from nextframe.training import ModelSection, Recipe, TrainingConfig, train
from nextframe.training.parts import take_parts, take_weights


def mixture(**fields) -> Mixture:
    seed_everything(0, "weights")
    small = {"width": 8, "members": [{"name": "copy-last"}, {"name": "linear"}], "augment": False}
    return Mixture(MixtureConfig.parse(small | fields))


def trained(net: Mixture, clip: Clip, steps: int) -> float:
    """Return the perceptual distance of the next frame after so many steps on one clip, as part of copy-last's."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        net.stages()[0].objectives[0].loss(clip)[0].backward()
        optimizer.step()
    with torch.no_grad():
        predicted = net.eval()(clip.context, 1)
    return float(perceptual(predicted, clip.target) / perceptual(clip.context[:, -1:], clip.target))


def flat(*colours: tuple[float, float, float]) -> Clip:
    """Return a clip of frames of one colour each."""
    frames = torch.tensor(colours).view(1, -1, 3, 1, 1).expand(-1, -1, -1, 16, 16).contiguous()
    return Clip(frames[:, :-1], frames[:, -1:])


def test_before_training_every_candidate_but_the_first_has_the_same_small_weight():
    frames = torch.rand(2, 5, 3, 9, 7, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    last, before = frames[:, 4], frames[:, 3]
    candidates = [last, 2 * last - before, *frames[:, :4].unbind(1), last]  # the painted one changes nothing yet
    share = 1 / (math.exp(2) + len(candidates) - 1)
    by_hand = share * (math.exp(2) * candidates[0] + sum(candidates[1:]))
    with torch.no_grad():
        torch.testing.assert_close(mixture()(frames, 1)[:, 0], by_hand)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"context": 1, "members": [{"name": "flow"}]}, "'flow' cannot follow 1 frames .* at least 2"),
        ({"members": [{"name": "mean-neighbours"}]}, "'mean-neighbours' cannot follow 5 frames .* between two"),
        ({"members": [{"name": "motion", "options": {"fused": 1}}]}, "'motion' of the mixture has no option 'fused'"),
        ({"members": [{"name": "motion", "options": {"fuse": 7}}]}, "'motion' of the mixture: field 'fuse'"),
    ],
)
def test_members_that_cannot_do_what_is_asked_are_refused(fields, says):
    with pytest.raises(UserError, match=says):
        mixture(**fields)


def test_a_colour_that_nobody_showed_is_painted():
    turn = flat((0.9, 0.1, 0.1), (0.9, 0.9, 0.1), (0.1, 0.9, 0.1), (0.1, 0.9, 0.9), (0.1, 0.1, 0.9), (0.9, 0.1, 0.9))
    assert trained(mixture(), turn, 60) < 0.2
    assert trained(mixture(paints=False, members=[{"name": "copy-last"}]), turn, 60) > 0.4, "no candidate has it"


def test_what_blinks_is_recalled():
    dark, light = (0.1, 0.1, 0.1), (0.8, 0.8, 0.8)
    blinking, alone = flat(dark, light, dark, light, dark, light), {"paints": False, "members": [{"name": "copy-last"}]}
    assert trained(mixture(**alone), blinking, 60) < 0.1
    assert trained(mixture(**alone, recall=0), blinking, 60) == pytest.approx(1)


def test_the_painted_candidate_has_a_loss_of_its_own():
    clip = flat((0.1, 0.1, 0.1), *[(0.5, 0.2, 0.1)] * 4, (0.7, 0.7, 0.1))
    losses = {}
    for weight in (0.0, 0.5, 1.0):
        net = mixture(paint_loss=weight)
        losses[weight], logs = net.stages()[0].objectives[0].loss(clip)
        assert logs["painted"].item() == pytest.approx(perceptual(clip.context[:, -1:], clip.target).item())
    assert (losses[0.5] - losses[0.0]).item() == pytest.approx(0.5 * logs["painted"].item(), rel=1e-4)
    assert (losses[1.0] - losses[0.0]).item() == pytest.approx(logs["painted"].item(), rel=1e-4)


def test_a_member_with_weights_from_elsewhere_stays_as_it_is_while_the_blend_is_trained(tmp_path):
    """It has the weights that ship, the rest learns, and what is stored predicts with it."""
    members = [{"name": "copy-last"}, {"name": "motion"}]
    recipe = Recipe(
        model=ModelSection(name="mixture", fields={"members": members, "context": 3, "width": 8}),
        data=DataConfig(name="moving-squares", context=3, horizon=1, size=(16, 16), color="rgb"),
        training=TrainingConfig(
            steps=3, batch=2, val_clips=2, stage_from={"members.1": "motion"}, optimizer="sgd", lr=0.1
        ),
    )
    net = train(recipe, tmp_path / "run", show=False).model
    shipped, blend = nextframe.load("motion").state_dict(), net.blend.head.weight
    taken = net.members[1].state_dict()
    assert all(torch.equal(taken[name], weight) for name, weight in shipped.items())
    assert blend.abs().max() > 0
    found = nextframe.load(tmp_path / "run")
    assert found.trained.sources == nextframe.load("motion").trained.sources != ()
    frames = torch.rand(1, 3, 3, 16, 16)
    with torch.no_grad():
        alone = found.members[1].predict(frames, 1)
        _, guesses, _ = found._next(frames)
    torch.testing.assert_close(guesses[:, 1:], alone)


def test_statistics_of_a_member_with_weights_from_elsewhere_stay_too(tmp_path):
    """Those of its batch norm are no weights, and would follow the clips in training mode."""
    fields = {"hidden": [4, 4], "kernels": [3, 3]}
    data = DataConfig(name="moving-squares", context=3, horizon=1, size=(16, 16), color="rgb")
    section, once = ModelSection(name="convlstm", fields=fields), TrainingConfig(steps=1, batch=2)
    own = Recipe(model=section, data=data, training=once)
    taken = train(own, tmp_path / "own", show=False).model.state_dict()
    members = [{"name": "copy-last"}, {"name": "convlstm", "fields": fields}]
    recipe = Recipe(
        model=ModelSection(name="mixture", fields={"members": members, "context": 3, "width": 8}),
        data=data,
        training=TrainingConfig(steps=2, batch=2, stage_from={"members.1": str(tmp_path / "own")}),
    )
    kept = train(recipe, tmp_path / "run", show=False).model.members[1].state_dict()
    assert any("running_mean" in name for name in kept)
    assert all(torch.equal(kept[name], value) for name, value in taken.items())


def test_a_run_starts_from_one_that_was_trained_otherwise_but_has_the_same_network(tmp_path):
    save_model(mixture(), tmp_path / "whole")
    started = mixture(crop=8, augment=True)
    take_weights(started, str(tmp_path / "whole"))
    with pytest.raises(UserError, match="its 'recall' is 4, this model's whole has 2: set it alike"):
        take_weights(mixture(recall=2), str(tmp_path / "whole"))


def test_a_part_that_the_model_does_not_have_is_refused():
    with pytest.raises(UserError, match=r"members\.7.*members\.0"):
        take_parts(mixture(), {"members.7": "motion"})


def test_the_recipe_with_motion_among_its_members_takes_the_weights_that_ship():
    recipe = RECIPES.get("motion-mixture")
    net = Mixture(MixtureConfig.parse(recipe.model.fields))
    take_parts(net, recipe.training.stage_from)
    assert torch.equal(net.members[2].coarse.leave.weight, nextframe.load("motion").coarse.leave.weight)
    assert not any(weight.requires_grad for weight in net.members[2].parameters())


def test_a_member_rests_for_its_share_of_the_training_clips_and_never_in_use():
    """Of frames that move on, what `linear` predicts differs from the last frame, which stands for it meanwhile."""
    net = mixture(members=[{"name": "copy-last"}, {"name": "linear", "rest": 0.75}])
    context = flat(*[(0.1 * step,) * 3 for step in range(1, 7)]).context.expand(400, -1, -1, -1, -1)
    with clip_noise("step", 0, index=torch.arange(400)):
        guesses = net.train()._next(context)[1]
    moved = (guesses[:, 1] != context[:, -1]).flatten(1).any(1)
    assert 70 <= moved.sum() <= 130  # 100 +- 3.5 standard deviations
    with clip_noise("step", 0, index=torch.arange(200, 400)):  # a clip's share of the batch decides nothing
        assert torch.equal(net._next(context[200:])[1], guesses[200:])
    assert (net.eval()._next(context)[1][:, 1] != context[:, -1]).flatten(1).any(1).all()


def test_a_member_that_rests_is_no_candidate():
    """Before training each candidate but the first has the same weight: one less, and the first has more."""
    net = mixture(members=[{"name": "copy-last"}, {"name": "linear", "rest": 0.5}], recall=0, paints=False)
    context = flat((0, 0, 0), (0, 0, 0), (0, 0, 0), (0.1, 0.1, 0.1), (0.2, 0.2, 0.2), (0, 0, 0)).context
    with clip_noise("step", 0, index=torch.arange(40)):
        blended, guesses, _ = net.train()._next(context.expand(40, -1, -1, -1, -1))
    rests = guesses[:, 1, 0, 0, 0] == context[0, -1, 0, 0, 0]
    assert 0 < rests.sum() < 40
    share = 1 / (math.exp(2) + 1)
    by_hand = torch.where(rests, 0.2, 0.2 + 0.1 * share)  # linear predicts 0.3
    torch.testing.assert_close(blended[:, 0, 0, 0, 0], by_hand)


def test_where_all_rest_and_there_is_nothing_else_the_last_frame_stays():
    net = mixture(members=[{"name": "linear", "rest": 0.5}], recall=0, paints=False)
    context = flat(*[(0.1 * step,) * 3 for step in range(1, 7)]).context.expand(40, -1, -1, -1, -1)
    with clip_noise("step", 0, index=torch.arange(40)):
        blended, guesses, _ = net.train()._next(context)
    rests = (guesses == context[:, -1:]).flatten(1).all(1)
    assert 0 < rests.sum() < 40
    torch.testing.assert_close(blended[rests], context[rests, -1:])
    torch.testing.assert_close(blended[~rests], guesses[~rests])


def test_a_network_that_rests_may_predict_in_less_precision_than_the_frames():
    resting = {"name": "compact", "fields": {"width": 8, "blocks": 1}, "rest": 0.5}
    net = mixture(context=3, members=[{"name": "copy-last"}, resting])
    net.members[1].requires_grad_(False)
    frames = torch.rand(8, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with clip_noise("step", 0, index=torch.arange(8)), torch.autocast("cpu", torch.bfloat16):
        guesses = net.train()._next(frames)[1]
    assert guesses.shape == (8, 2, 3, 16, 16)
    assert 0 < (guesses[:, 1] != frames[:, -1]).flatten(1).any(1).sum() < 8


def test_a_member_predicts_with_the_options_that_it_is_given():
    frames = torch.rand(1, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    options = {"fuse": False, "rehearse": False}
    net = mixture(context=4, members=[{"name": "copy-last"}, {"name": "motion", "options": options}])
    take_parts(net, {"members.1": "motion"})
    alone = nextframe.load("motion")
    with torch.no_grad():
        plain = alone.forecast(alone.request(frames, 1, options=options))
        assert (plain - alone.predict(frames, 1)).abs().max() > 1e-4
        torch.testing.assert_close(net.eval()._next(frames)[1][:, 1:], plain)


def test_what_a_configuration_does_not_use_is_not_stored_so_that_rows_of_before_say_the_same():
    stored = mixture().config.model_dump()
    assert "crop" not in stored
    assert set(stored["members"][0]) == {"name", "fields"}
    assert mixture(crop=64).config.model_dump()["crop"] == 64


def test_it_trains_on_squares_at_the_same_place_of_context_and_target():
    """Each pixel says where it is: all of a clip's frames start at the same place, clips at different ones."""
    places = (torch.arange(12.0)[:, None] * 20 + torch.arange(16.0)).expand(200, 4, 3, 12, 16).contiguous()
    with clip_noise("step", 0, index=torch.arange(200)):
        square = cropped(Clip(places[:, :3], places[:, 3:]), 8)
    assert square.context.shape == (200, 3, 3, 8, 8)
    corners = square.context[:, 0, 0, 0, 0]
    assert torch.equal(square.context, square.target.expand(-1, 3, -1, -1, -1))
    assert torch.equal(square.target[:, 0, 0], places[0, 0, 0, :8, :8] + corners.view(-1, 1, 1))
    rows, columns = (corners // 20).int().tolist(), (corners % 20).int().tolist()
    assert set(rows) == set(range(5))
    assert set(columns) == set(range(9))
    short = cropped(Clip(places[:, :3, :, :6], places[:, 3:, :, :6]), 8)
    assert short.target.shape == (200, 1, 3, 6, 8)
