"""Peers under the names that the programs use: `init`, `remote`, `get`, and some `put` and `wait`.

The programs of bench/programs are the same for everybody, so each peer does the same work and has
its results checked. A module here translates each call into what a user of that library types, and
does nothing more: no caching, no batching that the library does not do itself. What a library has
no call for is missing in its module, and the row or the figure leaves it out.
"""
