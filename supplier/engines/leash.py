"""`python -m supplier.engines.leash PARENT COMMAND...`: a command that ends when its parent does.

A supplier that is killed cannot stop its engine, which would keep the memory of the GPU and the
port. On Linux the kernel is asked to send SIGTERM when the parent ends; elsewhere the command
just runs. The command takes this process's place, so its id and exit status are the command's.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Exit status 127 where the command cannot be run; else it does not return."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            return 0  # it ended before it was asked after
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
