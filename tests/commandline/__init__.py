"""The control plane from the command line."""
