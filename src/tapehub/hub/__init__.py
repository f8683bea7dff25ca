"""The hub as Python sees it: one log, many views, any number of processes."""

from tapehub.hub.batch import Batch
from tapehub.hub.connection import connect
from tapehub.hub.datahub import DataHub
from tapehub.hub.paths import hub_path
from tapehub.hub.record import Record
from tapehub.hub.snapshot import Snapshot
from tapehub.hub.stream import Stream

__all__ = ["Batch", "DataHub", "Record", "Snapshot", "Stream", "connect", "hub_path"]
