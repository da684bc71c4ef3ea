"""The real networks of the zoo: tables of a scan of them, and a text with numbers from these tables."""
