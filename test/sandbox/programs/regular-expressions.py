import re
text = 'On 2021-03-04 and 2022-11-30, a.b@c.org wrote to d@e.net'
print(re.findall(r'(\d{4})-(\d\d)-(\d\d)', text), re.findall(r'[\w.]+@\w+\.\w+', text))
print(re.sub(r'(\w+)@(\w+)', r'\2 at \1', text), re.split(r'[ ,]+', 'a, b  c'))
match = re.search(r'(?P<user>\w+)@(?P<host>\w+)', text)
print(match.groupdict(), match.span(), re.fullmatch(r'(?i)ABC', 'abc') is not None)
