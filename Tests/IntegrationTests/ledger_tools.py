"""A look into a database from outside of the product."""
import contextlib

import psycopg2


@contextlib.contextmanager
def connected(url):
    """Asks one statement after the other over one connection, as `query` does."""
    # Not psycopg2's own context manager: that would hold one transaction open around all of them.
    connection = psycopg2.connect(url)
    connection.autocommit = True

    def ask(text, *parameters):
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else None

    try:
        yield ask
    finally:
        connection.close()


def query(url, text, *parameters):
    """The rows of one statement, committed by itself; None of a statement that has none."""
    with connected(url) as ask:
        return ask(text, *parameters)
