"""The Django project: settings, addresses, and the entry points of web servers."""
