import getpass, locale, os, platform, sys
print(sys.getdefaultencoding(), sys.stdout.encoding.lower(), sys.maxsize == 2 ** 63 - 1, sys.byteorder)
print(platform.system(), os.sep, os.cpu_count() >= 1, isinstance(os.getpid(), int), len(sys.argv) >= 1)
locale.setlocale(locale.LC_ALL, 'C')
print(locale.format_string('%d', 12345), isinstance(platform.python_version(), str))
