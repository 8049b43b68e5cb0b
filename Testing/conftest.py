"""Tests that draw examples draw the same ones each time: what passes here passes on the next machine.

``SYNTHCBV_FUZZ=2000`` asks for other and more examples, to look for new faults.
"""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
if "SYNTHCBV_FUZZ" not in os.environ:
    settings.load_profile("repeatable")
