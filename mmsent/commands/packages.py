"""Which of the packages that mmsent asks for are here."""

import importlib.metadata
import re


def missing_packages(extra: str) -> list[str]:
    """Distributions that mmsent asks for and that are not installed; `extra` "" = the core."""
    missing = []
    for requirement in importlib.metadata.requires("mmsent") or ():
        marker = re.search(r"extra == ['\"]([^'\"]+)", requirement)
        if (marker.group(1) if marker else "") != extra:
            continue
        name = re.split(r"[\s\[<>=!~;(]", requirement, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return missing
