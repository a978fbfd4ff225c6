"""How the process of a script ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.helpers import tiny

CLOSED = 128 + signal.SIGPIPE


@pytest.mark.parametrize("code, output", [(130, "printed"), (1, "printed\ncleaned up"), (0, "printed\ncleaned up")])
def test_an_interrupted_process_leaves_without_cleaning_up(code, output):
    leave = f"from fxtrade.cli import process; print('printed'); process.leave(lambda: {code})"
    program = f"import atexit; atexit.register(print, 'cleaned up'); {leave}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (code, output)


def into_closed_pipe(*arguments: str) -> tuple[int, str]:
    """Return exit code and stderr of Python with these arguments, whose output nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = tiny.python(*arguments, stdout=writer)
    finally:
        os.close(writer)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


@pytest.mark.parametrize("lines", [1, 100_000])
def test_output_that_nobody_reads(lines):
    program = f"from fxtrade.cli import process; process.leave(lambda: print('line\\n' * {lines}) or 0)"
    assert into_closed_pipe("-c", program) == (CLOSED, "")


@pytest.mark.parametrize("script", ["train", "features", "comparison", "doctor", "runs", "fetch"])
def test_help_that_nobody_reads(script):
    code, err = into_closed_pipe(f"scripts/{script}.py", "--help")
    assert code in (0, CLOSED) and err == ""  # 0 where argparse itself ignores that nobody reads
