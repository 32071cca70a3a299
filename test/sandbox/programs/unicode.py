import unicodedata
text = 'naïve café ☃ 漢字 😀 e\u0301'
print(text, len(text), text.upper(), text.encode('utf-8')[:8])
print(unicodedata.normalize('NFC', text)[-1], unicodedata.name('☃'), 'ß'.casefold(), 'straße' == 'STRASSE'.casefold())
print(ascii(text), '\N{GREEK SMALL LETTER PI}', 'א' > 'ω', text[::-1])
