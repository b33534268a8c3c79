"""``spirit``: the engine from a terminal. ``worker``: runs what people start in the pages."""
