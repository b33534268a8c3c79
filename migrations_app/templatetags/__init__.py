"""Template tags of the pages: ``{% load spirit %}`` brings words, times, badges and bars."""
