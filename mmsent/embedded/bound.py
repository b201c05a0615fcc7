"""Become another command, which the kernel kills when the process that started it ends, however it ends.

Usage: python bound.py PARENT_PID COMMAND ARGUMENT…
Runs before anything is imported, so that it costs milliseconds; see prctl(2), PR_SET_PDEATHSIG, which
outlives execve(2).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("bound.py: prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before the kernel knew of us
        sys.exit("bound.py: the starting process is gone")
    os.execv(command[0], command)  # noqa: S606  # the command is the demo's own


if __name__ == "__main__":
    main()
