"""The flag that Ctrl-C and SIGTERM raise."""

import os
import signal
import threading

import pytest

from tapehub.stopping import stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_the_flag_even_while_the_main_thread_holds_its_lock(number: signal.Signals) -> None:
    """`Event.wait` holds that lock for a moment; a handler that set the event there waited for itself, for ever."""
    with stopping() as stop:
        with stop._cond:  # type: ignore[attr-defined]
            os.kill(os.getpid(), number)
        assert stop.wait(10)


def test_a_second_ctrl_c_interrupts_and_a_second_sigterm_does_not() -> None:
    with stopping() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_come_back_and_no_thread_stays() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = threading.active_count()
    with stopping(signal.SIGTERM) as stop:
        assert signal.getsignal(signal.SIGINT) is before[0]
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert not stop.is_set()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert threading.active_count() == threads


def test_beside_the_main_thread_nothing_is_handled() -> None:
    seen: list[object] = []

    def beside() -> None:
        with stopping() as stop:
            seen.append((signal.getsignal(signal.SIGINT) is before, stop.is_set()))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert seen == [(True, False)]
