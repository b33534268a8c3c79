"""Health, metrics, exports, keys: what those who run it use."""
