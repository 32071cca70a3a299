import csv, io
out = io.StringIO()
writer = csv.DictWriter(out, ['name', 'note']); writer.writeheader()
writer.writerow({'name': 'a,b', 'note': 'says "hi"\nagain'})
print(repr(out.getvalue()))
print(list(csv.DictReader(io.StringIO(out.getvalue()))), next(csv.reader(['1;2;"3;4"'], delimiter=';')))
