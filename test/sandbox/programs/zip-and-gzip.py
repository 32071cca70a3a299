import bz2, gzip, io, lzma, tarfile, zipfile, zlib
data = b'the quick brown fox ' * 500
for module in (gzip, bz2, lzma, zlib): print(module.__name__, module.decompress(module.compress(data)) == data)
with zipfile.ZipFile('x.zip', 'w', zipfile.ZIP_DEFLATED) as archive: archive.writestr('in/a.txt', data)
with zipfile.ZipFile('x.zip') as archive: print(archive.namelist(), archive.testzip(), len(archive.read('in/a.txt')))
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode='w:gz') as archive:
    info = tarfile.TarInfo('b'); info.size = 5; archive.addfile(info, io.BytesIO(b'hello'))
buffer.seek(0)
with tarfile.open(fileobj=buffer) as archive: print(archive.getnames(), archive.extractfile('b').read())
