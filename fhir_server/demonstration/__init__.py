"""The demonstration alliance put into a folder: records, clients and accounts, and the file that says how to get in."""
