"""Clips that are cut once and stored in shards."""
