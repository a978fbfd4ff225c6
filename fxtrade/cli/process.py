"""The end of a script's process: its exit code, after an interrupt or when nobody reads its output."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn


def leave(main: Callable[[], int]) -> NoReturn:
    """Run `main` and exit with the code that it returns; 128 + SIGPIPE if nobody reads the output, as with `| head`.

    After a signal it exits without Python's clean-up: XLA's threads may still run a program whose result nobody waits
    for, and would use what the clean-up frees (a segmentation fault).
    """
    try:
        try:
            code = main()
        finally:  # also where `main` exits by itself, as argparse does
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be written
        code = 128 + signal.SIGPIPE
    if code > 128:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
