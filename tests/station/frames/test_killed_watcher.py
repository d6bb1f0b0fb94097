"""A watcher that is killed again and again while files arrive: it repeats none and misses none."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

from scripted import wait_until
from test_watched_folder import encoded

PROGRAM = Path(__file__).with_name("watch_until_killed.py")
FILES, KILLS = 300, 3


def test_none_is_missed_and_none_is_repeated(tmp_path: Path) -> None:
    folder, path = tmp_path / "incoming", tmp_path / "record.db"
    folder.mkdir()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE inspections (key TEXT, name TEXT)")
    database.commit()
    is_over = threading.Event()

    def count() -> int:
        found: int = database.execute("SELECT COUNT(*) FROM inspections").fetchone()[0]
        return found

    def wait_for(recorded: int, watcher: "subprocess.Popen[bytes]") -> None:
        wait_until(lambda: count() >= recorded or watcher.poll() is not None, f"{recorded} are recorded")
        assert watcher.poll() is None

    def write() -> None:
        for number in range(FILES):
            content = encoded(number, "JPEG")
            with (folder / f"{number}.jpg").open("wb") as file:
                file.write(content[: len(content) // 2])
                file.flush()
                file.write(content[len(content) // 2 :])
            if is_over.wait(0.005):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for kill in range(KILLS + 1):
            enough = FILES if kill == KILLS else count() + 20
            with subprocess.Popen([sys.executable, str(PROGRAM), str(folder), str(path)], env=os.environ) as watcher:
                try:
                    wait_for(enough, watcher)
                    if kill == KILLS:
                        # what follows all others: by then a repetition would have come
                        (folder / "last.jpg").write_bytes(encoded(FILES, "JPEG"))
                        wait_for(FILES + 1, watcher)
                finally:
                    watcher.kill()
    finally:
        is_over.set()
        writer.join()
    names = [name for (name,) in database.execute("SELECT name FROM inspections")]
    database.close()
    assert len(names) == len(set(names)) == FILES + 1
