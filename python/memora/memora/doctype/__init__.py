"""The DocTypes."""
