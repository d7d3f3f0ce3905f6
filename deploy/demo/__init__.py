"""The whole product against real paste and forum software, with synthetic people; it checks itself.

It plants what it knows, drives `ullage` by its command line as a person would, and compares what
comes out with what it planted.
"""
