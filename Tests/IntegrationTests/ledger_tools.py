"""A look into a database from outside of the product."""
import psycopg2


def query(url, text, *parameters):
    """The rows of one statement, committed by itself; None of a statement that has none."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()
