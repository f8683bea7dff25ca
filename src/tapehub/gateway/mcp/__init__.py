"""The hub for language models: tools and resources of the Model Context Protocol, by its official SDK.

Every answer says first how far its data can be trusted: state, age, completeness, and what the hub clock shows.
docs/reference/mcp.md lists the tools.
"""
