"""The HTTP interface of a station, and its pages.

- `app` puts them together; `server` runs them; `protocol` bounds connections.
- `access` says who asks, and whether a browser asks for someone else; `tokens` and `rights` what that one may do.
- `limits`, `uploads` and `multipart` bound what is sent; `problems` makes sentences of every refusal.
- `routes/`: one module a topic; `parameters`, `images`, `futures` are what they share; `metrics` counts them, and
  `reference` is the page that describes them.
- `security_headers`: what every answer tells browsers.
- `pages/`, `templates/`, `static/`: what people look at; `live`: images over WebSockets.
"""
