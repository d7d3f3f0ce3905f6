"""Who may use the desk and its API: people, and programs.

- `roles`: role to permissions, and `Principal`: somebody who asks, with what they may do and whose they may see.
"""
