"""What the station remembers: the database and the image files."""
