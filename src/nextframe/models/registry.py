"""Every model by name. A new model is one new file and one line here; those of others come by plugins.

`CITED` are large networks by default: a benchmark has them by name or by its recipes only. `ORIGINALS` are models too,
of which a list of models tells apart what is there for comparison alone.
"""

from __future__ import annotations

from typing import Any

from nextframe.core.registry import Registry


def _is_model(name: str, thing: Any) -> bool:
    from nextframe.models.contract import Predictor

    return isinstance(thing, type) and issubclass(thing, Predictor)


MODELS: Registry[Any] = Registry("model", "nextframe.models", "a class that extends Predictor", _is_model)

MODELS.add("copy-last", "nextframe.models.copy_last:CopyLast")
MODELS.add("linear", "nextframe.models.linear:Linear")
MODELS.add("flow", "nextframe.models.flow:FlowWarp")
MODELS.add("mean-neighbours", "nextframe.models.mean_neighbours:MeanNeighbours")
MODELS.add("flow-middle", "nextframe.models.flow_middle:FlowMiddle")
MODELS.add("motion", "nextframe.models.motion:Motion")
MODELS.add("compact", "nextframe.models.compact:Compact")
MODELS.add("convlstm", "nextframe.models.convlstm:ConvLSTM")
MODELS.add("conv2d", "nextframe.models.conv2d:Conv2dModel")
MODELS.add("catz-baseline", "nextframe.models.catz_baseline:CatzBaseline")
MODELS.add("conv3d", "nextframe.models.conv3d:Conv3dModel")
MODELS.add("convlstm-residual", "nextframe.models.convlstm_residual:ConvLSTMResidual")
MODELS.add("convlstm-autoencoder", "nextframe.models.convlstm_autoencoder:ConvLSTMAutoencoder")
MODELS.add("mixture", "nextframe.models.mixture:Mixture")
MODELS.add("multiscale-gan", "nextframe.models.multiscale_gan:MultiscaleGan")
MODELS.add("dual-motion-gan", "nextframe.models.dual_motion_gan:DualMotionGan")
MODELS.add("vae", "nextframe.models.vae:VAE")
MODELS.add("vcae", "nextframe.models.vcae:VCAE")
MODELS.add("cae", "nextframe.models.cae:CAE")
MODELS.add("deconv", "nextframe.models.deconv:Deconv")
MODELS.add("vae-on-features", "nextframe.models.vae_on_features:VAEOnFeatures")
MODELS.add("latent-lstm", "nextframe.models.latent_lstm:LatentLSTM")
MODELS.add("composite-lstm", "nextframe.models.composite_lstm:CompositeLSTM")
MODELS.add("ddpae", "nextframe.models.ddpae:DDPAE")
MODELS.add("sprites", "nextframe.models.sprites:Sprites")

CITED = {  # of papers, in their sizes: docs/cited-models.md
    "convlstm-openstl": "convlstm_openstl:ConvLSTMOpenSTL",
    "predrnn": "predrnn:PredRNN",
    "predrnn++": "predrnn_plus_plus:PredRNNPlusPlus",
    "mau": "mau:MAU",
    "mim": "mim:MIM",
    "e3d-lstm": "e3d_lstm:E3DLSTM",
    "phydnet": "phydnet:PhyDNet",
    "swinlstm": "swinlstm:SwinLSTM",
    "simvp": "simvp:SimVP",
    "tau": "tau:TAU",
    "predformer": "predformer:PredFormer",
}
for _name, _where in CITED.items():
    MODELS.add(_name, f"nextframe.models.{_where}")

ORIGINALS = {  # the forms of papers, notebooks and public codes, with their faults
    "convlstm-keras": "keras_convlstm:KerasConvLSTM",
    "catz-baseline-original": "catz:CatzBaselineOriginal",
    "catz-conv2d": "catz:CatzConv2d",
    "catz-conv3d": "catz:CatzConv3d",
    "catz-convlstm": "catz:CatzConvLSTM",
    "catz-autoencoder": "catz:CatzAutoencoder",
    "mathieu-paper": "mathieu:MathieuPaper",
    "mathieu-torch": "mathieu_torch:MathieuTorch",
    "mathieu-chainer": "mathieu:MathieuChainer",
    "mathieu-tf": "mathieu:MathieuTf",
    "tencia-vcae": "video_predict:TenciaVCAE",
    "tencia-latent-lstm": "video_predict:TenciaLatentLSTM",
    "srivastava-composite": "srivastava:SrivastavaComposite",
    "predformer-fac-st": "predformer:PredFormerFacST",
}
for _name, _where in ORIGINALS.items():
    MODELS.add(_name, f"nextframe.models.originals.{_where}")
