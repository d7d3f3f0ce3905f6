"""What people do with incidents, for pages, API and commands alike.

Everything that is decided is a `Decision`, which is only ever appended, and stands in the audit log
first.
"""
