"""The binary log reader against real servers."""
