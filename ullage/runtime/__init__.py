"""Run the process of a service: start it, read the bus in a loop, set aside failing records.

    supervisor     the services as child processes of `ullage run`
    service        start, drain and end of a service, and whether it is ready
    worker         the loop: poll, handle, commit; retry, dead letter or stop
    in_hand        the records at which the last process died
    dead_letters   records that could not be processed, sealed, for a person

Match and alert consume with `worker`. Crawl and search have loops of their own and share the
remaining modules.
"""
