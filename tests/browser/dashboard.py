"""The page as a test sees it: what it shows, what it knows, what went wrong on it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

WITHIN_MS = 20_000
# While the gateway is gone, or away, a browser writes each request that fails to its console: that is its own doing.
_EXPECTED = ("net::ERR_", "Failed to load resource", "WebSocket connection to", "status of 404", "status of 503")


class Dashboard:
    """One open page. Its `wrong` lists every error, warning and breach of the security policy."""

    def __init__(self, context: "BrowserContext") -> None:
        self.context = context
        self.wrong: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WITHIN_MS)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", lambda message: self._console(message.type, message.text))
        # Reported by the browser itself, whatever the page does.
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) => "
            "console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile))"
        )

    @classmethod
    def open(cls, browser: "Browser", link: str, **options: Any) -> Self:
        """Log in through the link, and wait for the first prices."""
        board = cls(browser.new_context(**({"viewport": {"width": 1600, "height": 1000}} | options)))
        board.page.goto(link, timeout=60_000)
        board.page.wait_for_selector('html[data-link="live"]')
        board.page.wait_for_selector(".row.item[data-bid]")
        # Whether the page was loaded anew is seen by this being gone.
        board.page.evaluate("globalThis.sameLoad = true")
        return board

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in _EXPECTED):
            self.wrong.append(f"{kind}: {text}")

    def until(self, expression: str, argument: Any = None, within_s: float = WITHIN_MS / 1000) -> None:
        """Wait until an expression of the page is true. A promise is true at once, whatever becomes of it."""
        assert "async" not in expression, expression
        assert ".then" not in expression, expression
        self.page.wait_for_function(expression, arg=argument, timeout=within_s * 1000, polling=50)

    def ask(self, path: str) -> Any:
        """Ask the hub what the page would ask it."""
        return self.page.evaluate("async (path) => (await fetch(`api/v1/${path}`)).json()", path)

    def until_told(self, path: str, condition: Callable[[Any], bool]) -> None:
        """Ask the hub until its answer is as it should be."""
        end_s = time.monotonic() + WITHIN_MS / 1000
        while not condition(told := self.ask(path)):
            assert time.monotonic() < end_s, f"{path}: {told}"
            self.page.wait_for_timeout(50)

    def state(self, symbol: str) -> str:
        """Read the state of a row, as it is shown."""
        return str(self.page.locator(f'.row.item[data-symbol="{symbol}"] .badge').inner_text()).lower()

    def is_live(self, symbol: str, within_s: float = 40) -> None:
        """Wait until a row is shown as live."""
        self.shows(symbol, ["live"], within_s)

    def shows(self, symbol: str, states: list[str], within_s: float = 20) -> None:
        """Wait until a row is shown in one of these states."""
        self.until(
            "([symbol, states]) => states.includes(document.querySelector("
            "`.row.item[data-symbol='${symbol}']`)?.dataset.state)",
            [symbol, states], within_s,
        )  # fmt: skip

    @contextmanager
    def held(self, state: str, move: str) -> Iterator[None]:
        """Draw every row in one state and after one move, whatever the hub goes on telling the page."""
        self.page.evaluate(
            """([state, move]) => {
                tapehub.store.shown = () => [state, "held by a test"];
                for (const row of tapehub.store.rows.values()) {
                    Object.defineProperty(row, "move", { get: () => move, set: () => {}, configurable: true });
                    tapehub.store.tell("tick", row);
                }
            }""",
            [state, move],
        )
        try:
            yield
        finally:
            self.page.evaluate(
                """() => {
                    delete tapehub.store.shown;
                    for (const row of tapehub.store.rows.values())
                        Object.defineProperty(row, "move", { value: "", writable: true, enumerable: true });
                }"""
            )

    @property
    def why(self) -> str:
        """Read the doctor's sentence."""
        return str(self.page.inner_text("#why"))

    @property
    def same_load(self) -> bool:
        """Tell whether the page has not been loaded anew."""
        return bool(self.page.evaluate("globalThis.sameLoad === true"))

    def close(self) -> None:
        self.context.close()
