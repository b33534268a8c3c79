"""The bench: how long a change takes, what it costs, and what the application feels of it.

Contract: ``script/bench [--case a,b] [--rows N] [--rounds N] [--json FILE]`` makes its tables on a
private server, changes them in turn by the server's own ALTER, by ``manage.py spirit migrate`` and
by every peer that is installed, and verifies the table after each run. It exits 0 when every table
was right, 1 when one was not, or when a run of ours or the server's failed. Nothing it starts
survives it.

A reader's map, in the order of a round:

- ``cases``: what is measured; ``shapes``: the tables, made on the server from a seed;
- ``ground``: the server's schema, the base tables, and a fresh copy of one for each run;
- ``tools``: who makes the change, and by which command; ``timed``, ``stopwatch``: a command's time,
  CPU and memory; ``phases``: what a run of ours says of itself;
- ``runs``: one measured run of a case; ``special``: the catch-up, the checksum alone; ``load``: the
  application that writes meanwhile;
- ``verify``: whether every row is right;
- ``figures``, ``report``: medians, tables and JSON.
"""
