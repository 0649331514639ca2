"""What clients and the apps of a site call."""
