"""What stands beside the line: cameras and folders in, verdicts out, and a memory of everything that was inspected.

Which part is where:

- `schemas`: what goes over HTTP, to outputs and to the client; `station_settings`: what a person can set.
- `frames/`: where images come from: cameras, streams, video files, folders.
- `serving/`: the models that are served, their versions, and the bounded pool that runs them.
- `store/`: the database and the image files.
- `outputs/`: where verdicts go: files, webhooks, MQTT, Modbus, OPC UA.
- `line`: one source that is watched: frames are inspected, recorded and published.
- `jobs/`: fits and updates, each in a process of its own.
- `web/`: the HTTP interface and the pages; `client`: the same from Python.
"""
