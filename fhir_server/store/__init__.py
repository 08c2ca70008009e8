"""The Store protocol and its engines."""
