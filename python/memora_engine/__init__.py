"""The engine of memora, for a Frappe app that brings its own DocTypes.

`memora_engine.site_engine` has the engine of the present Frappe site; here is all that it raises.
memora's own app has these files, too: in the repository they are links to them, in the wheel
copies.
"""

from ._engine import (
    ALARMING_PERCENT,
    Engine,
    EngineFault,
    InvalidInput,
    MemoraError,
    OutcomeUnknown,
    RateLimited,
    SeasonUnavailable,
    ServiceUnavailable,
    Settings,
    __version__,
)

__all__ = [
    "ALARMING_PERCENT",
    "Engine",
    "EngineFault",
    "InvalidInput",
    "MemoraError",
    "OutcomeUnknown",
    "RateLimited",
    "SeasonUnavailable",
    "ServiceUnavailable",
    "Settings",
    "__version__",
]
