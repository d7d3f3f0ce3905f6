"""The container image: its `Dockerfile`, and a command that prepares the files to build it from.

The command is `python -m deploy.container FOLDER`.
"""
