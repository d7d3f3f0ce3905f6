"""The image: `Dockerfile`, and `python -m deploy.container FOLDER`, which lays out what it is
built from.
"""
