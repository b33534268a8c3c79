"""The engine against a real server: each correctness rule, each way a run can end."""
