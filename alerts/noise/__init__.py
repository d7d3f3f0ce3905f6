"""What is no leak, and what people have said they know of: neither asks for anybody's time, and neither is lost.

traits         what the rules look at, kept beside each finding's fact so that other rules can be tried on it later
background     rules as data: a post of one person's own number, a report, a shop; counted by site and rule, no incident
suppressions   what an analyst has silenced, until when and why; folded and counted, no notification
"""
