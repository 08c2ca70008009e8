"""The code systems, value sets and concept maps of base R4: ``base()`` gives the layer, ``build`` makes its data."""

from terminology.base.tables import BaseLayer, base

__all__ = ["BaseLayer", "base"]
