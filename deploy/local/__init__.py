"""Start real software on loopback that represents the outside world, for tests and demos.

Real programs are used instead of mocks, because crawlers fail on what real programs answer.
`programs` starts paste and forum software, and `posting` fills it through its web forms, as a
person would. This software runs from its own environment; none of its packages is a dependency
of the product. `kafka` and `elasticsearch` start the servers of a deployment on many machines,
for as long as the caller lives; `services` keeps both running after the shell has ended.
"""
