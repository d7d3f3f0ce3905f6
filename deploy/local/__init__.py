"""The real software that stands in for the outside world on a developer's machine: paste and forum programs on loopback.

Real programs rather than mocks, because what breaks a crawler is what a program really answers. `programs` starts them,
`posting` fills them through their own forms, as a person would. They run from an environment of their own: none of their
packages is a dependency of ours.
"""
