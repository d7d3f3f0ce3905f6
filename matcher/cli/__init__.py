"""The commands of this stage, each imported when it is called.

    scan               `ullage scan`: customers in local files, a line of JSON each; how local files are read
    assess             `ullage assess`: the verdict on one file, compared with incidents and made one if asked
      verdict            what is said of it, from the same facts as an incident's
      render             how that looks on a terminal
    match              `ullage match`: captures from the bus, findings to the bus
      authentic          whose captures and heartbeats are believed, and what match signs
      canary             the reserved tenant whose people stand in canary posts
      evidence_vault     captures sealed for tenants that want it
      metrics            everything on /metrics
    watchlist          `ullage watchlist …` and `ullage subjects resolve`
      watchlist_options  the options by which a list of customers is read, and the report on it
    loading            what is looked for here, and the matcher over it

What `scan` and `assess` read is never kept. `match` is the only one that runs on.
"""  # noqa: E501
