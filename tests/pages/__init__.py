"""The pages through Django's client: each for each role, orders by role, and no secret anywhere."""
