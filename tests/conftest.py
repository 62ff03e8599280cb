"""Settings for all tests."""

import signal

from hypothesis import settings

# A shell starts background jobs with SIGINT ignored, and children inherit that; tests of Ctrl-C need the usual handler.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis would fail examples that are slow once; on a shared machine that says nothing.
settings.register_profile("optisolve", deadline=None)
settings.load_profile("optisolve")
