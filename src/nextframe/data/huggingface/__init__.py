"""Data sets of Hugging Face: rows with a video each become sources; whole data sets are fetched from the Hub."""
