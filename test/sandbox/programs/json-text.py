import json
data = {'name': 'Zoë', 'values': [1, 2.5, None, True], 'nested': {'deep': [{}]}}
text = json.dumps(data, sort_keys=True, ensure_ascii=False, indent=1)
print(text, json.loads(text) == data, json.dumps('é\n"'))
try:
    json.loads('{"a": }')
except json.JSONDecodeError as error:
    print(error.msg, error.pos)
class Encoder(json.JSONEncoder):
    def default(self, o): return sorted(o)
print(json.dumps({'s': {3, 1}}, cls=Encoder), json.loads('1e3'), json.loads('[NaN]'))
