"""Clips from a user's own files and folders."""
