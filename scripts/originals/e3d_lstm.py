"""Run OpenSTL's E3D-LSTM beside ours: python scripts/originals/e3d_lstm.py --original FOLDER"""

from __future__ import annotations

from openstl_recurrent import compare, given_folder, original_class, settings

NAMES = ("cell_list.0.conv_h.0.conv3d.weight", "cells.0.from_hidden.weight")


def main() -> None:
    """Compare the standard protocol's form."""
    folder = given_folder(__doc__)
    kind = original_class(folder, {"e3dlstm_modules": ("Eidetic3DLSTMCell",)}, "e3dlstm_model", "E3DLSTM_Model")
    compare("e3d-lstm", folder, kind, settings(4, num_hidden="5,5"), NAMES)


if __name__ == "__main__":
    main()
