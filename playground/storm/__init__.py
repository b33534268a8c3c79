"""Orders at random, by random people, to many requests, while workers are killed and replaced: then
every order must be answered, and every request agree with its runs and tables (``script/storm``).

- ``scene``: the server, tables, people, requests and workers; ``orders``: what people do;
  ``verdict``: what must hold when the storm is over
"""
