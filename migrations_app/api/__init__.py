"""The REST API: the same reads and orders as the pages, for programs that act as a person.

- ``site``: what it is made of, and how errors are answered; ``auth``: tokens and scopes
- ``requests``, ``orders``, ``history``, ``targets``: its addresses
- ``schemas``: what is asked and answered; ``readings``: rows turned into answers
"""
