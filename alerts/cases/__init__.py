"""What people do with incidents; pages, the API and commands all use these functions.

Every decision is stored as a `Decision`. Decisions are only added, never changed, and each is
written to the audit log first.
"""
