"""Changes to existing sites, one module each (patches.txt)."""
