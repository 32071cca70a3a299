# needs: __import__('zoneinfo').ZoneInfo('Europe/Paris')
from datetime import datetime
from zoneinfo import ZoneInfo
when = datetime(2024, 3, 31, 12, tzinfo=ZoneInfo('Europe/Paris'))
print(when, when.astimezone(ZoneInfo('America/New_York')), when.tzname(), when.utcoffset())
