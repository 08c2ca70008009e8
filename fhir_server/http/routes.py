"""The routing table: what is really registered, read by the dispatcher, the CapabilityStatement and OpenAPI.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fhir_server.errors import FhirError, MethodNotAllowed, NotFound, NotSupported
from fhir_server.http.exchange import Handler, Request


@dataclass(frozen=True, slots=True)
class Route:
    """One interaction at one place.

    ``shape`` is the path below the base with ``{type}``, ``{id}``, ``{version}``, ``{compartment}``
    and literals, e.g. ``{type}/{id}/_history``; ``name`` the code of the interaction in a
    CapabilityStatement (``read``, ``search-type`` …) or our own word for what has none. ``letters``: which of
    the letters c r u d s a scope must give on the type, one after the other ('' none).
    """

    method: str
    shape: str
    name: str
    handler: Handler
    letters: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One FHIR operation, e.g. ``$everything``, at its levels.

    ``types`` are the resource types of the type and instance level (empty: all).
    ``get`` says whether GET may call it (it changes nothing and its parameters are simple);
    ``version`` whether it also exists on the versions of an instance. ``letters``: what a scope must give on the
    type (on some type, at the system level); ``administers``: only for those who write what is nobody's.
    """

    code: str
    handler: Handler
    definition: str
    system: bool = False
    type: bool = False
    instance: bool = False
    types: frozenset[str] = frozenset()
    get: bool = True
    version: bool = False
    letters: str = "r"
    administers: bool = False

    def offered(self, level: str, type: str) -> bool:
        """Whether it exists at the ``level`` (system, type, instance, version) for ``type``."""
        if level == "system":
            return self.system
        at = {"type": self.type, "instance": self.instance, "version": self.version}
        return at[level] and (not self.types or type in self.types)


@dataclass(frozen=True, slots=True)
class Apart:
    """What serves a resource type instead of the table's handlers (AuditEvent), and nothing else does.

    ``handlers``: by method and shape. ``parameters``: those by which it is searched.
    """

    handlers: Mapping[tuple[str, str], Handler]
    parameters: frozenset[str]


@dataclass(slots=True)
class Routes:
    """The table; ``find`` tells which handler a request goes to and fills in what its path says."""

    resource_types: frozenset[str]
    routes: tuple[Route, ...]
    operations: tuple[Operation, ...]
    apart: Mapping[str, Apart] = field(default_factory=dict)  # by resource type
    _by_shape: dict[str, dict[str, Route]] = field(init=False)
    _by_code: dict[str, list[Operation]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_shape = {}
        for route in self.routes:
            self._by_shape.setdefault(route.shape, {})[route.method] = route
        self._by_code = {}
        for operation in self.operations:
            self._by_code.setdefault(operation.code, []).append(operation)

    def allowed(self, request: Request) -> list[str]:
        """The methods that the path of ``request`` has."""
        shape = self._shape(request)
        if request.operation and shape.endswith("$"):
            found = self._operations(request, shape)
            return ["GET", "HEAD", "POST"] if any(o.get for o in found) else ["POST"]
        methods: Iterable[str] = self._by_shape.get(shape, {})
        if (apart := self.apart.get(request.operation or request.type)) is not None:
            methods = [method for method in methods if (method, shape) in apart.handlers]
        return [m for method in methods for m in ((method, "HEAD") if method == "GET" else (method,))]

    def described(self, request: Request) -> str:
        """The shape of the path of ``request`` for logs: no ids, no query."""
        try:
            shape = self._shape(request)
        except FhirError:
            return "(unknown path)"
        known = shape.endswith("$") or shape in self._by_shape
        return f"/{shape}{request.operation if shape.endswith('$') else ''}" if known else "(unknown path)"

    def find(self, request: Request) -> Route | Operation:
        """Where ``request`` goes; its type, id, version and operation are set.

        Raises NotFound for an unknown path or type and MethodNotAllowed for a path without the method.
        """
        shape = self._shape(request)
        method = "GET" if request.method == "HEAD" else request.method
        if shape.endswith("$"):
            found = self._operations(request, shape)
            if method == "POST" or (method == "GET" and any(operation.get for operation in found)):
                return found[0]
            raise MethodNotAllowed(f"Operation ${request.operation} cannot be called with {request.method}")
        methods = self._by_shape.get(shape)
        if methods is None:
            raise NotFound(f"There is nothing at '{'/'.join(request.segments)}'")
        route = methods.get(method)
        if route is None:
            raise MethodNotAllowed(f"{request.method} is not offered at '{shape or '/'}'")
        if self.apart and (apart := self.apart.get(request.operation or request.type)) is not None:
            handler = apart.handlers.get((method, shape))
            if handler is None:
                raise MethodNotAllowed(f"{request.method} is not offered at '{shape}' for {request.type}")
            return replace(route, handler=handler)
        return route

    def names(self, type: str = "") -> set[str]:
        """The names of the interactions that are offered, at all or for one type."""
        apart = self.apart.get(type)
        return {r.name for r in self.routes if apart is None or (r.method, r.shape) in apart.handlers}

    def _operations(self, request: Request, shape: str) -> list[Operation]:
        level = "version" if request.version else "instance" if request.id else "type" if request.type else "system"
        known = self._by_code.get(request.operation, ())
        found = [o for o in known if o.offered(level, request.type)]
        if not found and level == "version" and any(o.offered("instance", request.type) for o in known):
            raise NotSupported(f"${request.operation} is not offered on versions, only on the current resource")
        if not found:
            where = f"on {request.type}" if request.type else "on the whole system"
            raise NotFound(f"There is no operation ${request.operation} {where} ({level} level)", code="not-supported")
        return found

    def _shape(self, request: Request) -> str:
        """The shape of the path; sets type, id, version and operation of ``request``."""
        segments = request.segments
        if not segments:
            return ""
        first = segments[0]
        if first not in self.resource_types:
            return self._special(request, "", segments)
        request.type = first
        if len(segments) == 1:
            return "{type}"
        second = segments[1]
        if second[:1] in ("_", "$"):
            return self._special(request, "{type}/", segments[1:])
        request.id = second
        if len(segments) == 2:
            return "{type}/{id}"
        third = segments[2]
        if third == "_history" and len(segments) == 4:
            request.version = segments[3]
            return "{type}/{id}/_history/{version}"
        if third == "_history" and len(segments) == 5 and segments[4][:1] == "$":
            request.version, request.operation = segments[3], segments[4][1:]
            return "{type}/{id}/_history/{version}/$"
        if third == "*" or third in self.resource_types:
            request.operation = third
            return "/".join(("{type}/{id}/{compartment}", *segments[3:]))
        return self._special(request, "{type}/{id}/", segments[2:])

    def _special(self, request: Request, before: str, rest: tuple[str, ...]) -> str:
        name = rest[0]
        if name.startswith("$") and len(rest) == 1:
            request.operation = name[1:]
            return before + "$"
        if not before and name[:1].isupper():
            raise NotFound(f"'{name}' is not a resource type of FHIR R4", code="not-supported")
        return before + "/".join(rest)


def unique(routes: Iterable[Route]) -> tuple[Route, ...]:
    """The routes as a table; raises ValueError where two claim the same method and shape."""
    seen: dict[tuple[str, str], Route] = {}
    for route in routes:
        if seen.setdefault((route.method, route.shape), route) is not route:
            raise ValueError(f"{route.method} {route.shape} is registered twice")
    return tuple(seen.values())
