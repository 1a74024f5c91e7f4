"""Video files: decoding, random access, the index that is kept of them, scene cuts."""
