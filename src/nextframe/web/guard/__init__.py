"""What stands between the app and whoever asks: the gate, what it lets in, connections, the temporary folder."""
