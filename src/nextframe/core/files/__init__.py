"""Files and folders that appear whole or not at all, their formats, and the cache."""
