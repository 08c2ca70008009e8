"""The subcommands of ``yidang``: each module has ``add_parser(subparsers)`` and ``run(args) -> int``.

A module imports what is heavy inside ``run``, so that ``yidang --help`` answers at once.
``add_parser`` sets ``run`` as the parser's default of that name.
"""
