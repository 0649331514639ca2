"""Changes to existing sites, made by version 1.0."""
