"""What the commands do; cli.py declares them. Each module is imported when its command runs."""
