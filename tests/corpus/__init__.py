"""The corpus: files of every kind that is read, as a table; `docs/formats.md` is written from it."""
