"""The hub for those who are not on its machine, or not in Python: HTTP, WebSocket, the page, BaseManager, metrics."""
