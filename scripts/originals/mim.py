"""Run OpenSTL's MIM beside ours: python scripts/originals/mim.py --original FOLDER"""

from __future__ import annotations

from openstl_recurrent import compare, given_folder, original_class, settings

NAMES = ("stlstm_layer_diff.0.conv_x_concat.0.weight", "blocks.0.changing.from_input.0.weight")


def main() -> None:
    """Compare the standard protocol's form, and the one with layer norm."""
    folder = given_folder(__doc__)
    blocks = {"predrnn_modules": ("SpatioTemporalLSTMCell",), "mim_modules": ("MIMBlock", "MIMN")}
    kind = original_class(folder, blocks, "mim_model", "MIM_Model")
    small = {"num_hidden": "5,5,5", "filter_size": 3}
    compare("mim", folder, kind, settings(4, **small), NAMES)
    compare("mim+norm", folder, kind, settings(4, **{**small, "num_hidden": "5,5"}, layer_norm=1), NAMES)


if __name__ == "__main__":
    main()
