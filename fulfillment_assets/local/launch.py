"""Become another command, with every signal back to its default: `launch.py COMMAND...`.

A stack started in the background inherits an ignored SIGINT, which its services would keep.
Run as a program of its own, because code between fork and exec is unsafe beside threads.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command of our arguments in our place."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")


if __name__ == "__main__":
    main()
