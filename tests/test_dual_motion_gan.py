"""Dual-motion-gan: where a flow takes pixels, what each loss is by hand, who gets which gradient, what feeds back."""

import math

import pytest
import torch

from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import seed_everything
from nextframe.models.dual_motion_gan import DualMotionGan
from nextframe.recipes import load_recipe
from nextframe.training.recipe import override
from texture import texture

LATENT = 8


def build(**fields) -> DualMotionGan:
    seed_everything(0, "weights")
    small = {"channels": 1, "width": 4, "latent": LATENT, "pretrain": 0.0, "smooth": 0.0, "flow_smooth": 0.0}
    return create_model("dual-motion-gan", **(small | fields))


def constant(layer: torch.nn.Conv2d, *values: float) -> None:
    """Let a layer give `values`, one for each of its maps, whatever it sees."""
    torch.nn.init.zeros_(layer.weight)
    layer.bias.data = torch.tensor(values)


def moving(flow: tuple[float, float], change: float = 0.0, fusion: float = 0.0, **fields) -> DualMotionGan:
    """A model that predicts one flow, in pixels, paints the last frame plus `change`, and fuses by sigmoid(fusion)."""
    model = build(**fields)
    constant(model.flow_generator.out, *(pixels / 4 for pixels in flow))
    constant(model.frame_generator.out, *[change] * model.config.channels)
    constant(model.estimator.doublings.out, 0.0, 0.0)
    constant(model.encoder.head, *[0.0] * (2 * LATENT))
    constant(model.fusion[-1], fusion)
    return model


def row_clip(*values: float) -> torch.Tensor:
    """A context of one frame, (1, 1, 1, 8, W), of equal rows."""
    return torch.tensor(values).expand(1, 1, 1, 8, len(values))


def clip_of(batch=2, horizon=2, channels=1, height=16, width=24, **extras) -> Clip:
    frames = torch.rand(batch, 3 + horizon, channels, height, width, generator=torch.Generator().manual_seed(0))
    return Clip(frames[:, :3], frames[:, 3:], extras=extras)


# --- the flow and the roll-out


@pytest.mark.parametrize(
    ("flow", "first", "second"),
    [
        ((1.0, 0.0), [0.1, 0.2, 0.4, 0.4], [0.2, 0.4, 0.4, 0.4]),  # comes from the right: it moves to the left
        ((-1.0, 0.0), [0.0, 0.0, 0.1, 0.2], [0.0, 0.0, 0.0, 0.1]),
        ((0.5, 0.0), [0.05, 0.15, 0.3, 0.4], [0.1, 0.225, 0.35, 0.4]),
        ((0.0, 3.0), [0.0, 0.1, 0.2, 0.4], [0.0, 0.1, 0.2, 0.4]),  # all rows are equal
    ],
)
def test_a_constant_flow_moves_the_frame_and_each_frame_moves_on(flow, first, second):
    future = moving(flow, fusion=50.0).predict(row_clip(0.0, 0.1, 0.2, 0.4), 2)
    for found, expected in zip(future[0, :, 0], (first, second), strict=True):
        torch.testing.assert_close(found, torch.tensor(expected).expand(8, 4))


def test_the_painted_frame_is_the_last_one_and_a_change_and_is_fed_back():
    future = moving((1.0, 0.0), change=0.25, fusion=-50.0).predict(row_clip(0.0, 0.1, 0.2, 0.4), 3)
    for step, found in enumerate(future[0, :, 0], 1):
        expected = (torch.tensor([0.0, 0.1, 0.2, 0.4]) + 0.25 * step).clamp(0, 1)
        torch.testing.assert_close(found, expected.expand(8, 4))


def test_the_fused_frame_is_a_choice_at_every_pixel():
    third = math.log(1 / 2)  # sigmoid: one third warped, two thirds painted
    future = moving((1.0, 0.0), change=0.3, fusion=third).predict(row_clip(0.0, 0.3, 0.6), 1)
    torch.testing.assert_close(future[0, 0, 0, 0], torch.tensor([0.1 + 0.2, 0.2 + 0.4, 0.2 + 0.6]))


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 5, 7), (3, 17, 24), (4, 16, 9)])
def test_any_size_channels_and_context_from_one_frame_on(channels, height, width):
    model = build(channels=channels)
    for frames in (1, 4):
        context = torch.rand(2, frames, channels, height, width)
        assert model.predict(context, 3).shape == (2, 3, channels, height, width)
        loss, _ = model.content_loss(Clip(context, torch.rand(2, 2, channels, height, width)))
        assert loss.isfinite()


def test_before_training_it_predicts_nearly_the_last_frame():
    context = clip_of().context
    assert (build().predict(context, 1)[:, 0] - context[:, -1]).abs().max() < 0.1


def test_futures_are_drawn_above_temperature_0():
    model, context = build(), clip_of().context
    torch.nn.init.normal_(model.flow_generator.out.weight)
    assert torch.equal(*model.predict(context, 2, samples=2))
    warm = {"temperature": 1.0}
    first, second = model.predict(context, 2, samples=2, options=warm)
    assert (first - second).abs().max() > 1e-3
    again = [model.predict(context, 2, generator=torch.Generator().manual_seed(3), options=warm) for _ in range(2)]
    assert torch.equal(*again)
    with pytest.raises(UserError, match="temperature"):
        model.predict(context, 2, options={"temperature": -1})


# --- the losses


def test_each_term_is_what_it_is_by_hand():
    """Painted 0.3, warped 0.2, fused 0.25 for a target of 0.5; flows (1, 0), (0, 0), (0, 0) for a true (3, -1)."""
    flow = torch.tensor([9.0, 9.0, 3.0, -1.0]).view(1, 1, 4, 1, 1).expand(1, 1, 4, 8, 8)  # two frames back, one back
    clip = Clip(torch.full((1, 2, 1, 8, 8), 0.2), torch.full((1, 1, 1, 8, 8), 0.5), extras={"flow": flow})
    model = moving((1.0, 0.0), change=0.1, adversarial_weight=0.0)
    loss, logs = model.content_loss(clip)
    divergence = LATENT * -0.5 * (1 - 4 - math.exp(-4))  # mean 0, log deviation -2
    expected = {"frame": 0.2 + 0.3 + 0.25, "gradient": 0.0, "flow": 1.5 + 2 + 2, "kl": divergence}
    assert {name: float(term) for name, term in logs.items()} == pytest.approx(expected, abs=1e-6)
    weights = {"frame": 1.0, "gradient": 0.5, "flow": 0.02, "kl": 1e-5}
    assert float(loss.detach()) == pytest.approx(sum(weights[name] * term for name, term in expected.items()))


def test_the_gradient_difference_is_that_of_the_fused_frame():
    """A step of 0.4 between columns of the target, none in the prediction: 8 rows of 64 pixels."""
    target = torch.zeros(1, 1, 1, 8, 8)
    target[..., 4:] = 0.4
    clip = Clip(torch.zeros(1, 2, 1, 8, 8), target, extras={"flow": torch.zeros(1, 1, 2, 8, 8)})
    _, logs = moving((0.0, 0.0)).content_loss(clip)
    assert float(logs["gradient"]) == pytest.approx(8 * 0.4 / 64)


def test_smooth_gaps_cost_their_square_near_zero():
    """0.3 with 0.4: sqrt(0.09 + 0.16) - 0.4 = 0.1 in each of three frames; 3 pixels with 4: 1 in each flow."""
    frames = torch.full((1, 3, 1, 8, 8), 0.2)
    flow = torch.full((1, 1, 2, 8, 8), 3.0)
    clip = Clip(frames[:, :2], frames[:, 2:] + 0.3, extras={"flow": flow})
    _, logs = moving((0.0, 0.0), smooth=0.4, flow_smooth=4.0).content_loss(clip)
    assert {name: float(logs[name]) for name in ("frame", "flow")} == pytest.approx({"frame": 0.3, "flow": 3.0})


def test_later_frames_of_a_clip_are_generated_from_the_models_own():
    """A painted change of 0.1 on a clip that stays as it is: errors of 0.1, 0.2 and 0.3."""
    frames = torch.full((1, 5, 1, 8, 8), 0.2)
    clip = Clip(frames[:, :2], frames[:, 2:], extras={"flow": torch.zeros(1, 3, 2, 8, 8)})
    _, logs = moving((0.0, 0.0), change=0.1, fusion=-50.0).content_loss(clip)
    painted, warped = (0.1 + 0.2 + 0.3) / 3, (0.0 + 0.1 + 0.2) / 3
    assert float(logs["frame"]) == pytest.approx(2 * painted + warped)


def test_the_true_flow_points_from_each_frame_back_to_the_one_before():
    """A texture that moves 2 pixels to the right and 1 up comes from 2 to the left and 1 below."""
    frames = torch.stack([texture(64, 64, 2.0 * t, -1.0 * t)[0] for t in range(4)]).unsqueeze(0)
    flows = build().true_flows(Clip(frames[:, :2], frames[:, 2:]))
    assert flows.shape == (1, 2, 2, 64, 64)
    inside = flows[..., 16:48, 16:48].mean((0, 3, 4))
    torch.testing.assert_close(inside, torch.tensor([[-2.0, 1.0]] * 2), atol=0.1, rtol=0)


def test_in_a_mix_the_flow_that_is_known_is_taken_and_the_other_estimated():
    clip = clip_of(flow=torch.full((2, 2, 2, 16, 24), 7.0), flow_known=torch.tensor([True, False]))
    flows = build().true_flows(clip)
    assert (flows[0] == 7).all()
    torch.testing.assert_close(flows[1], build().true_flows(clip_of())[1])


def test_frames_and_flows_teach_each_other():
    """The flow's term reaches the frame generator through the estimator, the frame's the flow generator by the warp."""
    only_flow = build(frame_weight=0.0, gradient_weight=0.0, kl_weight=0.0, adversarial_weight=0.0)
    only_flow.content_loss(clip_of())[0].backward()
    assert all(p.grad.abs().sum() > 0 for p in only_flow.frame_generator.parameters())
    only_frame = build(gradient_weight=0.0, kl_weight=0.0, adversarial_weight=0.0, flow_weight=1e-30)
    only_frame.content_loss(clip_of())[0].backward()
    assert all(p.grad.abs().sum() > 1e-12 for p in only_frame.flow_generator.parameters())


# --- the discriminators


def test_the_adversarial_gradient_reaches_all_that_generates_and_no_discriminator():
    model = build(frame_weight=0.0, gradient_weight=0.0, kl_weight=0.0, flow_weight=1e-30, adversarial_weight=1.0)
    model.generator_loss(clip_of())[0].backward()
    for part in (model.encoder, model.frame_generator, model.flow_generator, model.estimator):
        assert all(p.grad is not None and p.grad.abs().sum() > 1e-12 for p in part.parameters())
    assert all(p.grad is None and p.requires_grad for p in model.judges.parameters())


def test_the_discriminators_gradient_reaches_nothing_that_generates():
    model, clip = build(), clip_of()
    model.generator_loss(clip)
    for _ in range(2):  # with what was generated a moment ago, and anew
        model.zero_grad(set_to_none=True)
        model.discriminator_loss(clip)[0].backward()
        assert all(p.grad is not None and p.grad.any() for p in model.judges.parameters())
        named = dict(model.named_parameters())
        assert [name for name, p in named.items() if p.grad is not None and not name.startswith("judges.")] == []


def test_the_discriminators_see_both_frames_and_both_flows_beside_the_frame_before():
    """With hinge and every score s, real ones cost relu(1 - s) and generated ones relu(1 + s), for each of the two."""
    model, seen = build(spectral=False), []
    for judge in model.judges:
        torch.nn.init.zeros_(judge.layers[-1].weight)
        judge.register_forward_pre_hook(lambda _, maps: seen.append(maps[0].shape))
    loss, logs = model.discriminator_loss(clip_of(batch=2, horizon=3))
    assert float(loss.detach()) == 4.0
    assert set(logs) == {"frame_accuracy", "flow_accuracy"}
    assert [shape[:2] for shape in seen] == [(6, 2), (12, 2), (6, 3), (12, 3)]


def test_without_an_adversarial_weight_there_are_no_discriminators():
    (stage,) = build(adversarial_weight=0.0).stages()
    assert [objective.name for objective in stage.objectives] == ["generators"]
    pretrain, adversarial = build(pretrain=0.25).stages()
    assert (pretrain.share, adversarial.share) == (0.25, 0.75)
    trained = [{id(p) for p in objective.parameters} for objective in adversarial.objectives]
    assert not trained[0] & trained[1]


def test_it_warns_if_a_discriminator_wins():
    model = build()
    assert model.warning({"train/discriminators/frame_accuracy": 0.9}) is None
    assert "flow discriminator" in model.warning({"train/discriminators/flow_accuracy": 0.99})


# --- the recipe


def test_the_recipe_is_for_clips_of_four_frames_and_takes_other_data_by_a_field():
    recipe = override(load_recipe("dual-motion-gan-walks"), {"data.name": "kitti-caltech", "data.size": [128, 160]})
    assert (recipe.model.name, recipe.data.name, recipe.data.context) == ("dual-motion-gan", "kitti-caltech", 4)
