"""The asset graph: assets, checks, jobs, sensors and schedules, one folder a domain.

Definitions only say when and with what; the work is done by the plain packages, which are
imported inside the functions so that the code location loads, and a run starts, in a moment.
Dagster reads annotations as they are, so these modules do not postpone their evaluation.
"""
