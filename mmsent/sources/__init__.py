"""Where posts come from. Each source is an iterator of messages."""
