"""TIFF files with many pages: which of them are frames, and their pixels."""
