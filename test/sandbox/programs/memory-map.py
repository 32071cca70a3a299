import mmap
with open('m.bin', 'wb') as file: file.write(bytes(8192))
with open('m.bin', 'r+b') as file, mmap.mmap(file.fileno(), 0) as view:
    view[10:15] = b'hello'; view.flush()
    print(view.find(b'hello'), view.size())
print(open('m.bin', 'rb').read()[10:15])
with mmap.mmap(-1, 4096) as view: view.write(b'abc'); view.seek(0); print(view.read(3))
