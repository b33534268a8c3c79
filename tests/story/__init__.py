"""Whole stories, told by the demo in processes of their own."""
