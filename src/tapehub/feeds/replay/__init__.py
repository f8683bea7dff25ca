"""Replay: recorded files of several venues, read by what they contain and merged in event time.

One module for each format; `formats` recognises them.
"""

from __future__ import annotations

from tapehub.feeds.replay.feed import Replay
from tapehub.feeds.replay.formats import FORMATS, open_recording
from tapehub.feeds.replay.merge import merge
from tapehub.feeds.replay.pacing import pace, rebase
from tapehub.feeds.replay.recording import Options, Recording

__all__ = ["FORMATS", "Options", "Recording", "Replay", "merge", "open_recording", "pace", "rebase"]
