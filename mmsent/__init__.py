"""mmsent: what a live stream of posts feels, from text and picture together, and where the two disagree."""

from importlib.metadata import version

__version__ = version("mmsent")
