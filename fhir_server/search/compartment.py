"""Compartments: the resources that belong to a Patient, an Encounter and the like.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from fhir_server.errors import NotFound
from profiles.definitions import Definitions

from .plan import plan_of
from .tree import InCompartment


def compartment_types(definitions: Definitions, compartment: str) -> tuple[str, ...]:
    """The resource types that can be in the compartment. Raises NotFound for what is no compartment."""
    found = definitions.compartments.get(compartment)
    if found is None:
        raise NotFound(
            f"there is no {compartment} compartment; there are {', '.join(sorted(definitions.compartments))}"
        )
    return tuple(sorted(type for type, codes in found.items() if codes or type == compartment))


def compartment_node(definitions: Definitions, compartment: str, id: str, type: str) -> InCompartment:
    """The condition that a resource of ``type`` is in the compartment ``compartment``/``id``.

    Raises NotFound for what is no compartment.
    """
    compartment_types(definitions, compartment)
    params = plan_of(definitions, type).params
    codes = definitions.compartments[compartment].get(type, ())
    keys = [s.key for code in codes if code in params for s in params[code].sources if s.target in (None, compartment)]
    return InCompartment(compartment, id, tuple(dict.fromkeys(keys)), itself=type == compartment)
