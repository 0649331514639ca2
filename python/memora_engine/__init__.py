"""The engine of memora, for a Frappe app that brings its own DocTypes.

`memora_engine._engine` is the engine, `memora_engine.site_engine` that of the present Frappe site.
memora's own app has both files, too: here are links to them, in the wheel they are copies.
"""

from ._engine import __version__ as __version__
