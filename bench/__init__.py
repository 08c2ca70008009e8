"""``make bench``: how fast the server is, against bare SQLite in the same run and against the last committed run."""
