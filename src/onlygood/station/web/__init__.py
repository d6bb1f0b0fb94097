"""The HTTP interface of a station, and its pages.

- `app` puts them together; `server` runs them; `protocol` bounds connections.
- `access` says who asks, and whether a browser asks for someone else; `rights` what each route needs.
- `limits`, `uploads` and `multipart` bound what is sent; `problems` makes sentences of every refusal.
- `routes/`: one module a topic.
- `pages/`: what a person sees; `live`, `live_messages`: live images over WebSockets.
"""
