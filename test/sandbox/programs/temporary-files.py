import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'x')
    with open(path, 'w') as file: file.write('hello')
    print(open(path).read(), os.listdir(folder))
print(os.path.exists(folder))
with tempfile.NamedTemporaryFile('w+', suffix='.txt') as file:
    file.write('data'); file.seek(0)
    print(file.read(), file.name.endswith('.txt'))
with tempfile.TemporaryFile() as file:
    file.write(b'abc'); print(file.tell())
with tempfile.SpooledTemporaryFile(10) as file:
    file.write(b'x' * 100); file.seek(0); print(len(file.read()))
