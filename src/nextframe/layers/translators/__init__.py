"""The translators of SimVP: what turns the maps of all context frames into those of all future frames."""
