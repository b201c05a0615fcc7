"""mmsent: what a live stream of posts feels, from text and picture together, and where the two disagree."""


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415  # spares each command 20 ms

    return version("mmsent")
