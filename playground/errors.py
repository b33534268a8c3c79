"""What can go wrong with the servers of the playground."""


class ServerError(Exception):
    """A private server could not be found, started or ordered; the message says what to do."""
