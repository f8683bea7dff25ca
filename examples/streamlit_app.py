"""Show the market in Streamlit: `streamlit run examples/streamlit_app.py`. Every tab reads the one hub of this machine.

Nothing is cached: a read takes a microsecond. When the hub is restarted, the page goes on by itself.
"""

import streamlit as st

import tapehub

COLOURS = {"live": "🟢", "quiet": "🟢", "unverified": "🔵", "stale": "🟠", "dead": "🔴", "closed": "⚪", "empty": "⚪"}

st.set_page_config(page_title="tapehub", layout="wide")


@st.fragment(run_every=1.0)
def market() -> None:
    """Show all instruments and one of them closer; once a second."""
    try:
        hub = tapehub.connect()  # the same for every tab of this process
        rows = [row(hub, symbol) for symbol in hub.instruments]
    except tapehub.HubError as error:
        st.warning(f"No data: {error}")
        return
    st.caption(f"hub {hub.hub_id[:8]}, epoch {hub.epoch}, record {hub.head:,}, {hub.path}")
    if not rows:
        st.info('The hub is empty: run "tapehub up --feed sim --at 2026-06-02T12:00", or examples/publisher.py')
        return
    st.dataframe(rows, hide_index=True, width="stretch")
    symbol = st.selectbox("Instrument", [each["symbol"] for each in rows])
    candles = hub.candles(symbol, "1m", limit=120, forming=True).df()
    if len(candles):
        st.line_chart(candles[["close"]])


def row(hub: tapehub.DataHub, symbol: str) -> dict[str, object]:
    """Say what a hub knows of an instrument now; a price that is not fresh says so."""
    now = hub.snapshot(symbol, limit=1)
    return {
        "symbol": symbol,
        "state": f"{COLOURS[now.state]} {now.state}",
        "bid": now.tick and now.tick.bid,
        "ask": now.tick and now.tick.ask,
        "spread (pips)": now.tick and round(now.tick.spread, 2),
        "age (s)": now.age_s and round(now.age_s, 1),
    }


st.title("Market")
market()
