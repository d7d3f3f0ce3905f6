"""Incidents for other systems: MISP, STIX 2.1, CSV, and ECS for a SIEM.

One file a format with a `write`, in `formats`. What they share is in `facts`: an incident without its people.
No identifier, tag or subject handle is in any of them: an index tag can be tested for a phone number by whoever has its key, and
a handle is a customer to whoever has the building host. Ids are derived from ours, so a second export updates the first.
"""
