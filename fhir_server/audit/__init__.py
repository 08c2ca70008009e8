"""The audit trail: who saw or changed what, of whom, why and by what right; durable, chained, readable as FHIR."""

from fhir_server.audit.current import Auditor, Recorder
from fhir_server.audit.event import Event, Who, who
from fhir_server.audit.watched import WatchedStore

__all__ = ["Auditor", "Event", "Recorder", "WatchedStore", "Who", "who"]
