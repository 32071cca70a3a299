import array, struct
packed = struct.pack('<IhdQ3s', 7, -2, 1.5, 2 ** 63, b'abc')
print(packed.hex(), struct.unpack('<IhdQ3s', packed), struct.calcsize('>IhdQ3s'))
a = array.array('d', [1, 2, 3]); a.extend([4.5]); a.byteswap(); a.byteswap()
print(a, a.itemsize, memoryview(a)[1:3].tolist(), bytearray(b'abc').replace(b'b', b'zz'))
