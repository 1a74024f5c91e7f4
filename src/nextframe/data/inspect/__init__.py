"""Inspecting a data set: a report and contact sheets."""
