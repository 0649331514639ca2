"""Set-ups of many servers, each with its faults: `make test-servers`."""
