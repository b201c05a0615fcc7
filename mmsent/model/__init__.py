"""The sentiment model: its inputs, the network and the checkpoint it ships in."""
