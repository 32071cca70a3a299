import argparse, io, shlex, configparser, html, urllib.parse, xml.etree.ElementTree as tree, email.message
parser = argparse.ArgumentParser(prog='x'); parser.add_argument('n', type=int); parser.add_argument('--flag', action='store_true')
print(sorted(vars(parser.parse_args(['5', '--flag'])).items()), shlex.split('a "b c"'))
config = configparser.ConfigParser(); config.read_string('[s]\nk = v'); print(config['s']['k'], html.escape('<a>'))
print(urllib.parse.urlsplit('http://h:80/p?q=1#f').query, urllib.parse.quote('a b/ü'))
root = tree.fromstring('<r><a n="1">x</a><a n="2"/></r>')
print([e.get('n') for e in root.iter('a')], io.TextIOWrapper(io.BytesIO(b'a\nb')).readlines())
