"""Group findings into incidents: pure functions, and one stage that reads and writes.

A finding is placed (`placement`), becomes a sighting (`sightings`) and one exposure per customer
(`exposures`); an incident is computed from them (`projection`). Only `stage` reads and writes.
"""
