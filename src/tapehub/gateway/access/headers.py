"""What every response tells the browser not to do."""

from __future__ import annotations

from typing import Final

__all__ = ["POLICY", "secured"]

POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Nothing from elsewhere, nothing inline, in nobody's frame: a name from a venue that holds markup stays text."""

_ALWAYS: Final = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_DROPPED: Final = {*_ALWAYS, b"server", b"x-powered-by"}


def secured(headers: list[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    """Give the headers of a response with those that protect it; what is not a static file is kept by nobody."""
    kept = [(name, value) for name, value in headers if name.lower() not in _DROPPED]
    is_static = path.startswith("/static/") and any(name.lower() == b"cache-control" for name, _ in kept)
    if not is_static:
        kept = [(name, value) for name, value in kept if name.lower() != b"cache-control"]
        kept.append((b"cache-control", b"no-store"))
    return [*kept, *_ALWAYS.items()]
