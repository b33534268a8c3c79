"""News of requests for people who are not looking: by mail, chat or webhook, through apprise.

The contract: an event and its deliveries are written in one transaction (``outbox``); sending them
is a task of its own and can neither stop nor slow down a run or an order. A notice is sent once, or
again when its sender died on the way; what cannot be delivered within a day is given up, which the
request's history says. No address is ever in a log, an error, an event or a page.

A reader's map: ``kinds`` (what is told, in which words), ``channels`` (who is told of an event),
``outbox`` (writing it down), ``wording`` (title and text), ``addresses`` (which are accepted),
``posting`` (one message to one address), ``discretion`` (what may be logged), ``sending`` (claims,
attempts, giving up).
"""
