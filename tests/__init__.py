"""Tests: engine and pages against real servers."""
