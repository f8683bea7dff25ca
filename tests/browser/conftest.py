"""One browser, one running hub and one open page for all tests of a module.

Playwright's event loop runs in the thread that drives it, and would be in the way of every other test that runs one. So
the browser has a thread, and the tests of this folder run in it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import chromium, chromium_path
from tests.browser.dashboard import Dashboard
from tests.browser.running import Running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Path(__file__).parent
_thread: list[ThreadPoolExecutor] = []


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not _thread or HERE not in pyfuncitem.path.parents:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    _thread[0].submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    path = chromium_path()
    if path is None:
        pytest.skip("needs Chromium, which is not installed: apt-get install chromium, or name it in TAPEHUB_CHROMIUM")
    pytest.importorskip("playwright", reason="needs playwright: pip install 'tapehub[test]'")
    with ThreadPoolExecutor(1, thread_name_prefix="browser") as thread, ExitStack() as stack:
        _thread.append(thread)
        try:
            yield thread.submit(lambda: stack.enter_context(chromium(path))).result()
        finally:
            thread.submit(stack.close).result()
            _thread.clear()


@pytest.fixture(scope="module")
def running(browser: "Browser") -> Iterator[Running]:
    with Running() as up:
        yield up


@pytest.fixture(scope="module")
def dashboard(browser: "Browser", running: Running) -> Iterator[Dashboard]:
    """Open the page, logged in through the printed link; whatever goes wrong on it fails the module."""
    thread = _thread[0]
    link = running.link

    def run(call: Any) -> Any:
        return thread.submit(call).result()

    board = run(lambda: Dashboard.open(browser, link))
    run(lambda: board.is_live("EUR_USD"))
    yield board
    wrong = list(board.wrong)
    run(board.close)
    assert not wrong, wrong
