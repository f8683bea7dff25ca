"""The field's nouns: records, instruments, timeframes, calendars, the clock and the policies.

Import what you need from its module; nothing is loaded from here, so that ``import tapehub`` stays light.
"""

from __future__ import annotations

__all__: list[str] = []
