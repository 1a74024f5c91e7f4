"""Run OpenSTL's MAU beside ours: python scripts/originals/mau.py --original FOLDER"""

from __future__ import annotations

from openstl_recurrent import compare, given_folder, original_class, settings

NAMES = ("cell_list.0.conv_t.0.weight", "units.0.from_time.0.weight")


def main() -> None:
    """Compare the standard protocol's form, and the one with residual units and skips."""
    folder = given_folder(__doc__)
    kind = original_class(folder, {"mau_modules": ("MAUCell",)}, "mau_model", "MAU_Model")
    small = {"num_hidden": "6,6", "filter_size": 3, "sr_size": 4, "tau": 3}
    compare("mau", folder, kind, settings(1, **small, cell_mode="normal", model_mode="normal"), NAMES)
    compare("mau+recall", folder, kind, settings(1, **small, cell_mode="residual", model_mode="recall"), NAMES)


if __name__ == "__main__":
    main()
