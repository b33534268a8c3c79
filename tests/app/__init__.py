"""The application without its pages: states, orders, leases, settings, workers."""
