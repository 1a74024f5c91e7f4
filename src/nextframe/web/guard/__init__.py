"""What stands between the app and those who ask: the gate, what it lets in, connections, the temporary folder."""
