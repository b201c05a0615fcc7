"""The command line's entrance, `mmsent` and `python -m mmsent`.

Any Python 3 can read this file and `__init__.py`, so that one that is too old is told so in a clear line.
"""

import sys


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  # pip keeps old ones out, `python -m mmsent` does not
        sys.stderr.write(
            f"mmsent: needs Python 3.11 or newer, this is {sys.version.split()[0]} ({sys.executable}); "
            "run it with a newer one\n"
        )
        sys.exit(4)
    from mmsent.cli import main as run  # noqa: PLC0415  # not before the check above

    run()


if __name__ == "__main__":
    main()
