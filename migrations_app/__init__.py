"""Online schema changes for MySQL, asked for, approved, run and watched in a Django admin.

- ``engine``: changes one table; knows nothing of the rest.
- ``models``: what is stored.
- ``lifecycle``: the states of a request and who may move it; the only place that changes a state.
- ``commands``: what a person can order.
- ``runner``, ``runobserver``, ``tasks``, ``supervisor``: obeying orders inside workers;
  ``cluster``, ``liveness``, ``drain``: the workers' processes.
- ``offers``, ``queue``: which orders are open to whom; waking workers.
- ``admin``: the pages; ``commandline``: the subcommands of ``manage.py spirit``.

Imports go one way: admin → commands → lifecycle → models, and tasks → runner → engine.
"""
