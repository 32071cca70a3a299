from datetime import date, datetime, timedelta, timezone
start = datetime(2024, 2, 28, 23, 30, tzinfo=timezone.utc)
print(start + timedelta(days=1, hours=1), (date(2024, 12, 25) - date(2024, 2, 29)).days, start.isoformat())
print(datetime.strptime('03/04/21 05:06', '%d/%m/%y %H:%M'), date(2024, 1, 1).isocalendar()[1], start.strftime('%A %j'))
print(start.astimezone(timezone(timedelta(hours=9))), date.fromisoformat('2024-02-29').replace(year=2028))
import calendar
print(calendar.month(2024, 2).strip(), calendar.isleap(2100))
