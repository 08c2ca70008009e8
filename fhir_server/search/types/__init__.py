"""One file per search parameter type: the rows its elements give, and the conditions its values ask."""
