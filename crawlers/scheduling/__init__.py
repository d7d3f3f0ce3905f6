"""Which site is visited when, and what is known of the sites afterwards.

    scheduler     visits the sites that are due, several at a time
    site_list     which sites are ours
    site_locks    one process at a time crawls a site
    site_state    where a site stands after a visit
    egress        whether the way out works
    heartbeats    what is known of the sites, sent down the whole pipe
    canary_site   posts of our own, served on loopback

It is the loop of `ullage crawl`; one process at a time holds a site.
"""
