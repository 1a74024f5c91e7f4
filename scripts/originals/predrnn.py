"""Run OpenSTL's PredRNN, PredRNN v2, PredRNN++ and ConvLSTM beside ours.

python scripts/originals/predrnn.py --original FOLDER
"""

from __future__ import annotations

from openstl_recurrent import compare, given_folder, original_class, settings

BLOCKS = {
    "predrnn_modules": ("SpatioTemporalLSTMCell",),
    "predrnnv2_modules": ("SpatioTemporalLSTMCellv2",),
    "predrnnpp_modules": ("CausalLSTMCell", "GHU"),
    "convlstm_modules": ("ConvLSTMCell",),
}
MEMORY = ("cell_list.0.conv_m.0.weight", "cells.0.from_memory.0.weight")
HIGHWAY = ("gradient_highway.z_concat.0.weight", "highway.from_state.0.weight")
HIDDEN = ("cell_list.0.conv_h.0.weight", "cells.0.from_hidden.0.weight")


def main() -> None:
    """Compare each of them; the forms with layer norm too, but PredRNN++'s, with which the original cannot run."""
    folder = given_folder(__doc__)
    first = original_class(folder, BLOCKS, "predrnn_model", "PredRNN_Model")
    second = original_class(folder, BLOCKS, "predrnnv2_model", "PredRNNv2_Model")
    plus = original_class(folder, BLOCKS, "predrnnpp_model", "PredRNNpp_Model")
    lstm = original_class(folder, BLOCKS, "convlstm_model", "ConvLSTM_Model")
    small = settings(4, num_hidden="5,5,5", filter_size=3)
    normed = settings(4, num_hidden="5,5", filter_size=3, layer_norm=1)
    compare("predrnn", folder, first, small, MEMORY)
    compare("predrnn+norm", folder, first, normed, MEMORY)
    compare("predrnn-v2", folder, second, {**small, "decouple_beta": 0.1}, ("adapter.weight",) * 2, "predrnn")
    compare("predrnn-plus-plus", folder, plus, small, HIGHWAY, "predrnn++")
    compare("convlstm-openstl", folder, lstm, small, HIDDEN)
    compare("convlstm-openstl+norm", folder, lstm, normed, HIDDEN)


if __name__ == "__main__":
    main()
