"""Every recipe by name. A new recipe is one typed object in a file of this package, and one line here."""

from __future__ import annotations

from nextframe.core.registry import Registry
from nextframe.recipes.protocols import PROTOCOLS
from nextframe.recipes.small import SMALL
from nextframe.training.recipe import Recipe

RECIPES: Registry[Recipe] = Registry(
    "recipe", "nextframe.recipes", "a Recipe", lambda name, thing: isinstance(thing, Recipe)
)

RECIPES.add("quickstart", "nextframe.recipes.quickstart:QUICKSTART")
RECIPES.add("motion-tuned", "nextframe.recipes.motion:MOTION_TUNED")
RECIPES.add("motion-mixture", "nextframe.recipes.motion:MOTION_MIXTURE")
RECIPES.add("moving-mnist-fast", "nextframe.recipes.moving_mnist:MOVING_MNIST_FAST")
RECIPES.add("moving-mnist-sprites", "nextframe.recipes.moving_mnist:MOVING_MNIST_SPRITES")
RECIPES.add("keras-convlstm", "nextframe.recipes.keras_convlstm:KERAS_CONVLSTM")
RECIPES.add("keras-convlstm-2016", "nextframe.recipes.keras_convlstm:KERAS_CONVLSTM_2016")
RECIPES.add("catz-baseline", "nextframe.recipes.catz:CATZ_BASELINE")
RECIPES.add("catz-baseline-fixed", "nextframe.recipes.catz:CATZ_BASELINE_FIXED")
RECIPES.add("catz-conv2d", "nextframe.recipes.catz:CATZ_CONV2D")
RECIPES.add("catz-conv2d-fixed", "nextframe.recipes.catz:CATZ_CONV2D_FIXED")
RECIPES.add("catz-conv3d", "nextframe.recipes.catz:CATZ_CONV3D")
RECIPES.add("catz-conv3d-fixed", "nextframe.recipes.catz:CATZ_CONV3D_FIXED")
RECIPES.add("catz-conv3d-noise", "nextframe.recipes.catz:CATZ_CONV3D_NOISE")
RECIPES.add("catz-conv3d-noise-fixed", "nextframe.recipes.catz:CATZ_CONV3D_NOISE_FIXED")
RECIPES.add("catz-convlstm", "nextframe.recipes.catz:CATZ_CONVLSTM")
RECIPES.add("catz-convlstm-fixed", "nextframe.recipes.catz:CATZ_CONVLSTM_FIXED")
RECIPES.add("catz-autoencoder", "nextframe.recipes.catz:CATZ_AUTOENCODER")
RECIPES.add("catz-autoencoder-fixed", "nextframe.recipes.catz:CATZ_AUTOENCODER_FIXED")
RECIPES.add("mathieu-chainer", "nextframe.recipes.mathieu:MATHIEU_CHAINER")
RECIPES.add("mathieu-tf", "nextframe.recipes.mathieu:MATHIEU_TF")
RECIPES.add("mathieu-torch", "nextframe.recipes.mathieu:MATHIEU_TORCH")
RECIPES.add("mathieu-paper", "nextframe.recipes.mathieu:MATHIEU_PAPER")
RECIPES.add("multiscale-gan-small", "nextframe.recipes.mathieu:MULTISCALE_GAN_SMALL")
RECIPES.add("dual-motion-gan-walks", "nextframe.recipes.dual_motion_gan:DUAL_MOTION_GAN_WALKS")
RECIPES.add("mnist-latent", "nextframe.recipes.latent:MNIST_LATENT")
RECIPES.add("mnist-latent-original", "nextframe.recipes.latent:MNIST_LATENT_ORIGINAL")
RECIPES.add("film-latent", "nextframe.recipes.latent:FILM_LATENT")
RECIPES.add("film-latent-small", "nextframe.recipes.latent:FILM_LATENT_SMALL")
RECIPES.add("film-latent-original", "nextframe.recipes.latent:FILM_LATENT_ORIGINAL")
RECIPES.add("srivastava-mnist", "nextframe.recipes.srivastava:SRIVASTAVA_MNIST")
RECIPES.add("srivastava-mnist-2layer", "nextframe.recipes.srivastava:SRIVASTAVA_MNIST_2LAYER")
RECIPES.add("srivastava-patches", "nextframe.recipes.srivastava:SRIVASTAVA_PATCHES")
RECIPES.add("srivastava-percepts", "nextframe.recipes.srivastava:SRIVASTAVA_PERCEPTS")
RECIPES.add("srivastava-flow", "nextframe.recipes.srivastava:SRIVASTAVA_FLOW")
RECIPES.add("ddpae-moving-mnist", "nextframe.recipes.ddpae:DDPAE_MOVING_MNIST")
for _name, _recipe in [*PROTOCOLS.items(), *SMALL.items()]:
    RECIPES.add(_name, _recipe)
