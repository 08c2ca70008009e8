"""Code systems, value sets and units (pure; knows no HTTP and no store)."""
