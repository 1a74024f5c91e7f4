"""Video files: decoding, random access, their index, scene cuts."""
