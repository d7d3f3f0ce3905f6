"""How a role's process runs: started by a supervisor, reading the bus in a loop, setting aside what
it cannot process.

    supervisor     the roles as child processes of `ullage run`
    readiness      whether a role that runs here says that it is ready
    role           what every role does around its work
    worker         the loop: poll, handle, commit; retry, dead letter or stop
    in_hand        at which records the last process died
    dead_letters   what could not be processed, sealed, for a person

Match and alert consume with `worker`; crawl and search have loops of their own and share the rest.
"""
