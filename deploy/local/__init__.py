"""The real software that stands in for the outside world on a developer's machine, on loopback.

Real programs rather than mocks, because what breaks a crawler is what a program really answers.
`programs` starts paste and forum software, `posting` fills it through its own forms, as a person
would; it runs from an environment of its own, and none of its packages is a dependency of ours.
`kafka` and `elasticsearch` start the servers that a daemon on many machines uses, for as long as
the caller lives; `services` keeps both running behind a shell.
"""
