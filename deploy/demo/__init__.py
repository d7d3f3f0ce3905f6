"""Run the whole product against real paste and forum software, with synthetic people.

The demo plants known leaks, drives `ullage` by its command line as a person would, and compares
the result with what it planted.
"""
