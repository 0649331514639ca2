"""Tests on a real site: `bench --site SITE run-tests --app memora`."""
