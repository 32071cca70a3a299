import base64, secrets, uuid
print(uuid.uuid5(uuid.NAMESPACE_DNS, 'python.org'), uuid.uuid3(uuid.NAMESPACE_URL, 'x'), uuid.uuid4().version)
print(base64.b64encode(b'hello\xff'), base64.b32decode('NBSWY3DP'), base64.urlsafe_b64encode(b'\xfb\xff'), base64.b85encode(b'abc'))
print(len(secrets.token_hex(8)), 0 <= secrets.randbelow(10) < 10, len(uuid.uuid1().hex))
import os
print(len(os.urandom(16)))
