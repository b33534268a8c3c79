"""Servers and data to try Spirit Admin against; nothing here is part of the application.

Contract, as a reader's map:

- ``server``: a private MySQL in a folder of its own, on a free local port, which is ended whatever
  happens to the process that started it. Tests and the demo use it; a user's server is left alone.
- ``guardian``: the small process between the two that keeps that promise.
- ``developer_server``: the same server, kept in the checkout's ``var/``, behind ``script/server``.
- ``torture``: random tables, changes and faults, until a row is lost; behind ``script/torture``.
- ``shop``, ``writer``, ``demo``: a web shop's data, a live writer with a ledger, and the demo.
"""
