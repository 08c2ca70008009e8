"""The R4 4.0.1 definitions as compact tables: ``load()`` gives them, ``build`` makes them."""

from profiles.definitions.model import (
    Binding,
    ElementDef,
    InvariantDef,
    OperationDef,
    SearchParameterDef,
    TypeDef,
)
from profiles.definitions.tables import Definitions, load

__all__ = [
    "Binding",
    "Definitions",
    "ElementDef",
    "InvariantDef",
    "OperationDef",
    "SearchParameterDef",
    "TypeDef",
    "load",
]
