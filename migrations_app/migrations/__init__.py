"""How the tables of the control database came to be."""
