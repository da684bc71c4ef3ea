"""Tiny networks in the formats of deployment, written by the frameworks' own writers."""
