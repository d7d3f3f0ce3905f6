"""Decide which site is visited when, and compute the states of sites.

    scheduler      visits the sites that are due, several at a time
    crawled_sites  the sites of this process, each locked against further processes
    site_status    a site's state after a visit
    egress         whether the egress works
    heartbeats     states of the sites, sent through all stages
    canary_site    synthetic posts, served on loopback

It is the loop of `ullage crawl`; one process at a time holds a site.
"""
