"""The parts of `docs/` that are made from the code, and what the documents need to become a site
(`mkdocs.yml`).

python -m deploy.documents      writes the parts anew; a test fails while they are not what the code says
"""  # noqa: E501
