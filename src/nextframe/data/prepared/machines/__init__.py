"""Preparing by the processes of many machines."""
