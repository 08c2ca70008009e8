"""Bits of an element row's flags, shared by the build and the reader."""

from __future__ import annotations

SUMMARY, MODIFIER, XML_ATTRIBUTE, CHOICE = 1, 2, 4, 8
