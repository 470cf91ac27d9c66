"""For tests that speak of a day of UTC: none of them may have another day in its middle."""
import datetime
import time

DAY_SECONDS = 24 * 60 * 60


def clear_of(hour, minute, minutes):
    """Waits until that moment of the day (UTC) is over, if it is less than so many minutes ahead."""
    now = datetime.datetime.now(datetime.timezone.utc)
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    ahead = (moment - now).total_seconds() % DAY_SECONDS
    if 0 < ahead < 60 * minutes:
        time.sleep(ahead + 1)


def clear_of_midnight(minutes):
    clear_of(0, 0, minutes)


def today():
    return datetime.datetime.now(datetime.timezone.utc).date()


def this_month():
    return today().strftime("%Y-%m")
