"""Loading of files through the same commit door as HTTP: resumable, parallel, with a report of what was refused."""

from fhir_server.loading.crew import Total, WorkerDied, load
from fhir_server.loading.file import Event, load_file

__all__ = ["Event", "Total", "WorkerDied", "load", "load_file"]
