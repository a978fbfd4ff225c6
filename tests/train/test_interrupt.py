from __future__ import annotations

import os
import signal
import threading

import pytest

from fxtrade.train.interrupt import Interrupt

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def usual():
    """SIGTERM would end the tests: here it raises what a second one does outside."""

    def stop(number, frame):
        raise SystemExit(number)

    before = {s: signal.signal(s, stop) for s in SIGNALS}
    yield stop
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_is_a_request_and_the_second_acts(number):
    with Interrupt() as interrupt:
        assert interrupt.signal is None
        os.kill(os.getpid(), number)
        assert interrupt.signal == number
        with pytest.raises(SystemExit):
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_outside_nothing_changes(number, usual):
    with Interrupt() as interrupt:
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is usual
    with Interrupt():
        assert signal.getsignal(number) is not usual
    assert signal.getsignal(number) is usual
    assert interrupt.signal == number


@pytest.mark.parametrize("number", SIGNALS)
def test_at_once(number, usual):
    with pytest.raises(KeyboardInterrupt), Interrupt(at_once=True) as interrupt:
        os.kill(os.getpid(), number)
        signal.pause()
    assert interrupt.signal == number
    assert signal.getsignal(number) is usual


def test_in_another_thread_it_does_nothing(usual):
    seen = []

    def work():
        with Interrupt() as interrupt:
            seen.append((interrupt.signal, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, usual)]
