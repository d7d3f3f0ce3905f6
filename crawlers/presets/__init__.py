"""Presets: what the pages of one kind of site software look like, one TOML file each.

A file registers by being here.

A site's file names one as its `platform`, and may overrule any of its options. A user's own lie in
`presets` of the data folder, and go before these. Each holds samples of the software's pages,
written by us in their shape, and what must be read in them (`crawlers.sites.presets`).
"""
