"""A hub on another machine, with the Python API of a local one: `connect("https://…")` makes a `RemoteHub`.

What it needs beside numpy is loaded when the first one is made, not by ``import tapehub``.
"""
