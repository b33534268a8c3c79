"""What people see: one module a page, on django-unfold. Pages order; they decide nothing.

The contract: a page reads models, asks ``commands`` what may be ordered, and passes orders on to
it. No state is changed here, no password leaves the database through a page, and what a reader may
not do is neither offered nor reachable by its address.

A reader's map:

- ``home``, ``sidebar``, ``needs``: where one begins, and what waits for one;
- ``request_admin`` (addresses and list), ``request_list`` (tabs), ``submit_view`` and
  ``submit_form``, ``request_view`` (page and live parts), ``order_view`` (orders);
- the request page's parts: ``request_context`` gathers ``progress_view``, ``history``, ``banner``
  and ``offered``; ``live_parts`` renders them;
- ``targets``, ``target_form``, ``notices``, ``notice_form``, ``events``, ``checkpoints``, ``runs``,
  ``orders``, ``workers``, ``tokens``, ``queue``, ``people``: the other pages;
- ``volume_words``, ``checkpoint_words``, ``order_words``, and ``words`` and ``markup`` beside this
  package: how things are said.
"""

from migrations_app.admin import (
    checkpoints,
    events,
    notices,
    orders,
    people,
    queue,
    request_admin,
    runs,
    targets,
    tokens,
    workers,
)

__all__ = [
    "checkpoints",
    "events",
    "notices",
    "orders",
    "people",
    "queue",
    "request_admin",
    "runs",
    "targets",
    "tokens",
    "workers",
]
