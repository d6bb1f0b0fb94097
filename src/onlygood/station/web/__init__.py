"""The HTTP interface of a station, and its pages."""
