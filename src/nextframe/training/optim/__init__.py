"""Optimizers, the schedules of their rates, and updates that are skipped."""
