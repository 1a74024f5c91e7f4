"""Clips that are cut once and kept in shards."""
