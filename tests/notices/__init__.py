"""Notices: who is told of what, that it arrives once, and that no address comes out."""
