"""A Postgres that can be set back to a moment of its past, as after an operator's mistake."""
import os
import shutil
import subprocess

import psycopg2

from .stores import PostgresStore


class ArchivedPostgres(PostgresStore):
    """Archives its log. `back_up`, then `mark` as often as wanted; when it is down, `set_back` to a mark: a recovery
    that ends there, on a new timeline."""

    def __init__(self, directory):
        self.archive = None
        super().__init__(directory)

    def make_cluster(self):
        self.archive, self.base = self.make_place("archive"), self.make_place("base")
        super().make_cluster()

    def command(self):
        keep = f"test ! -f {self.archive}/%f && cp %p {self.archive}/%f"
        # Nobody kills it, so nothing has to wait for the disk.
        return [*super().command(), "-c", "fsync=off", "-c", "archive_mode=on", "-c", f"archive_command={keep}"]

    def answers(self):
        """While it recovers it answers, too, but it takes nothing."""
        try:
            with self.connect("postgres") as connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_is_in_recovery()")
                return cursor.fetchone() == (False,)
        except psycopg2.Error:
            return False

    def back_up(self):
        subprocess.run(
            [*self.prefix, self.programs / "pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tollgate",
             "-w", "-c", "fast", "--no-sync", "-D", self.base],
            check=True, capture_output=True, env={**os.environ, "PGPASSWORD": self.secret})

    def mark(self, name):
        self.query("SELECT pg_create_restore_point(%s)", name)

    def set_back(self, mark):
        """While it is down. Starts it; it is on another port."""
        shutil.rmtree(self.data)
        self.data = self.make_place("postgres")
        subprocess.run([*self.prefix, "cp", "-a", f"{self.base}/.", self.data], check=True)
        with open(self.data / "postgresql.auto.conf", "a") as file:
            file.write(
                f"restore_command = 'cp {self.archive}/%f %p'\nrecovery_target_name = '{mark}'\n"
                "recovery_target_action = 'promote'\n")
        signal = self.data / "recovery.signal"
        signal.touch()
        self.give(signal)
        self.launch()

    def timeline(self):
        return int(self.query("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")[0][0], 16)
