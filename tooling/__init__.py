"""The MkDocs hooks and the maintainers' commands."""
