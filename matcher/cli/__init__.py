"""The commands of this stage, each imported when it is called.

    scan               `ullage scan`: customers in local files, a line of JSON each
    assess             `ullage assess`: the verdict on one file, compared with incidents, and an
                       incident of it if asked
      verdict          the verdict, from the same facts as an incident's
    match              `ullage match`: captures from the bus, findings to the bus
      canary           the reserved tenant whose people are in canary posts
      evidence_vault   trusted signers, and evidence encrypted for tenants that want it
      metrics          everything on /metrics
    watchlist          `ullage watchlist …` and `ullage subjects resolve`
      watchlist_options  the options for reading a customer list, and the report on it
    transfers          `ullage watchlist transfers`
    fraud_cases        `ullage fraud-cases import`
    source             `ullage source`
      candidates       transfers and labels of a list as candidate sources
      report           the statement in words and as JSON
    loading            the inputs of matching on this host, and the matcher over them

The content that `scan` and `assess` read is never kept. `match` is the only service.
"""
