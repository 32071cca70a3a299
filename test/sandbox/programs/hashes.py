import hashlib, hmac, zlib, binascii
print(hashlib.sha256(b'abc').hexdigest(), hashlib.md5(b'').hexdigest(), hashlib.sha3_256(b'x').hexdigest()[:16])
print(hmac.new(b'key', b'message', 'sha256').hexdigest(), hmac.compare_digest(b'a', b'a'))
print(hashlib.pbkdf2_hmac('sha1', b'password', b'salt', 1000).hex(), zlib.crc32(b'abc'), binascii.hexlify(b'\x01\xff'))
print(hashlib.blake2b(b'x', digest_size=8).hexdigest(), hashlib.scrypt(b'p', salt=b's', n=16, r=1, p=1, dklen=8).hex())
