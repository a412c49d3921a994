"""Configures the SDK for the Opik at the URL in argv as its guide says, then sends a trace with no more than that."""

import sys

import opik

opik.configure(use_local=True, url_override=sys.argv[1], force=True, automatic_approvals=True)


@opik.track
def configured() -> str:
    return "done"


configured()
opik.flush_tracker()
