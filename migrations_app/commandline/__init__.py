"""The subcommands of ``manage.py spirit``: one module each, with its arguments, its work and its
exit codes. ``arguments`` has what they share; ``show`` how results look to people."""
