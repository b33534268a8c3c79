"""The playground keeps its own promises."""
