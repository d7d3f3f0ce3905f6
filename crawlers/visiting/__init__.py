"""Visit one site: lease pages, fetch and parse them, publish the posts and mark the pages as done.

    visitor     begins visits and runs each to its end
    visit       the state of one visit: leased pages, when to stop, and when to visit again
    spider      leases pages, fetches them and lets the platform parse them
    publish     drops known posts, publishes new ones and deletions, and finishes the page

`crawlers.scheduling` decides when a site is visited.
"""
