"""Search: parameters to a query tree; resources to index values."""
