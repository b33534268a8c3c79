"""The application's commands for ``manage.py``."""
