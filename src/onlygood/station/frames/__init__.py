"""Where images come from: cameras, streams, video files and folders."""
