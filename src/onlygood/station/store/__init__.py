"""What the station remembers: the database and the image files.

Which part is where:

- `store`: all of it in one place; `folder_lock`, `identity`: one station on one data folder with one database.
- `database`, `troubles`: SQLite or PostgreSQL, and a sentence for everything that can be wrong with them.
- `tables`, `schema`, `migrations/`: the tables, and how they are made and changed.
- `recorder`, `transaction`, `records`: inspections on their way in, one transaction for those that wait.
- `images`, `needed`: the files of images, and which of them are still named by a row.
- `inspections`, `filters`, `export`: the history, narrowed down, as a table and as a set of images.
- `feedback`, `observed_rates`: what people say of inspections, and what that says of a guarantee.
- `model_versions`, `taught`, `job_book`, `outbox`, `seen`, `drift_states`: what else is kept.
- `retention`, `clock`: what is let go, and when the clock is not to be believed.
- `backup`, `restore`, `archive`: all of it in one file, and back.
"""
